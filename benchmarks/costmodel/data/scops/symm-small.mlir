builtin.module {
  "poly.scop"() <{sym_name = "symm", roles = ["in", "in", "inout", "in", "in"], packs = [unit, unit, unit, unit, unit]}> ({
  ^bb0(%alpha: memref<f64>, %beta: memref<f64>, %C: memref<60x80xf64>, %A: memref<60x60xf64>, %B: memref<60x80xf64>):
    %temp2 = "poly.array"() : () -> memref<f64>
    "poly.statement"(%temp2) <{sym_name = "S0", domain = "{ [i0, i1] : 0 <= i0 <= 59 and 0 <= i1 <= 79 }", write = affine_map<(d0, d1) -> ()>, reads = [], position = array<i64: 0, 0, 0>}> ({
      %0 = arith.constant 0.000000e+00 : f64
      "poly.yield"(%0) : (f64) -> ()
    }) : (memref<f64>) -> ()
    "poly.statement"(%C, %C, %alpha, %B, %A) <{sym_name = "S1", domain = "{ [i0, i1, i2] : i0 <= 59 and 0 <= i1 <= 79 and 0 <= i2 < i0 }", write = affine_map<(d0, d1, d2) -> (d2, d1)>, reads = [affine_map<(d0, d1, d2) -> (d2, d1)>, affine_map<(d0, d1, d2) -> ()>, affine_map<(d0, d1, d2) -> (d0, d1)>, affine_map<(d0, d1, d2) -> (d0, d2)>], reduction = "add", position = array<i64: 0, 0, 1, 0>}> ({
    ^bb0(%1: f64, %2: f64, %3: f64, %4: f64):
      %5 = arith.mulf %2, %3 : f64
      %6 = arith.mulf %5, %4 : f64
      %7 = arith.addf %1, %6 : f64
      "poly.yield"(%7) : (f64) -> ()
    }) : (memref<60x80xf64>, memref<60x80xf64>, memref<f64>, memref<60x80xf64>, memref<60x60xf64>) -> ()
    "poly.statement"(%temp2, %temp2, %B, %A) <{sym_name = "S2", domain = "{ [i0, i1, i2] : i0 <= 59 and 0 <= i1 <= 79 and 0 <= i2 < i0 }", write = affine_map<(d0, d1, d2) -> ()>, reads = [affine_map<(d0, d1, d2) -> ()>, affine_map<(d0, d1, d2) -> (d2, d1)>, affine_map<(d0, d1, d2) -> (d0, d2)>], reduction = "add", position = array<i64: 0, 0, 1, 1>}> ({
    ^bb0(%8: f64, %9: f64, %10: f64):
      %11 = arith.mulf %9, %10 : f64
      %12 = arith.addf %8, %11 : f64
      "poly.yield"(%12) : (f64) -> ()
    }) : (memref<f64>, memref<f64>, memref<60x80xf64>, memref<60x60xf64>) -> ()
    "poly.statement"(%C, %beta, %C, %alpha, %B, %A, %temp2) <{sym_name = "S3", domain = "{ [i0, i1] : 0 <= i0 <= 59 and 0 <= i1 <= 79 }", write = affine_map<(d0, d1) -> (d0, d1)>, reads = [affine_map<(d0, d1) -> ()>, affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> ()>, affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d0)>, affine_map<(d0, d1) -> ()>], position = array<i64: 0, 0, 2>}> ({
    ^bb0(%13: f64, %14: f64, %15: f64, %16: f64, %17: f64, %18: f64):
      %19 = arith.mulf %13, %14 : f64
      %20 = arith.mulf %15, %16 : f64
      %21 = arith.mulf %20, %17 : f64
      %22 = arith.addf %19, %21 : f64
      %23 = arith.mulf %15, %18 : f64
      %24 = arith.addf %22, %23 : f64
      "poly.yield"(%24) : (f64) -> ()
    }) : (memref<60x80xf64>, memref<f64>, memref<60x80xf64>, memref<f64>, memref<60x80xf64>, memref<60x60xf64>, memref<f64>) -> ()
  }) : () -> ()
}