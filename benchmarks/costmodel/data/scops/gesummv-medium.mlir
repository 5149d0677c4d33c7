builtin.module {
  "poly.scop"() <{sym_name = "gesummv", roles = ["in", "in", "in", "in", "inout", "in", "inout"], packs = [unit, unit, unit, unit, unit, unit, unit]}> ({
  ^bb0(%alpha: memref<f64>, %beta: memref<f64>, %A: memref<250x250xf64>, %B: memref<250x250xf64>, %tmp: memref<250xf64>, %x: memref<250xf64>, %y: memref<250xf64>):
    "poly.statement"(%tmp) <{sym_name = "S0", domain = "{ [i0] : 0 <= i0 <= 249 }", write = affine_map<(d0) -> (d0)>, reads = [], position = array<i64: 0, 0>}> ({
      %0 = arith.constant 0.000000e+00 : f64
      "poly.yield"(%0) : (f64) -> ()
    }) : (memref<250xf64>) -> ()
    "poly.statement"(%y) <{sym_name = "S1", domain = "{ [i0] : 0 <= i0 <= 249 }", write = affine_map<(d0) -> (d0)>, reads = [], position = array<i64: 0, 1>}> ({
      %1 = arith.constant 0.000000e+00 : f64
      "poly.yield"(%1) : (f64) -> ()
    }) : (memref<250xf64>) -> ()
    "poly.statement"(%tmp, %tmp, %A, %x) <{sym_name = "S2", domain = "{ [i0, i1] : 0 <= i0 <= 249 and 0 <= i1 <= 249 }", write = affine_map<(d0, d1) -> (d0)>, reads = [affine_map<(d0, d1) -> (d0)>, affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d1)>], reduction = "add", position = array<i64: 0, 2, 0>}> ({
    ^bb0(%2: f64, %3: f64, %4: f64):
      %5 = arith.mulf %3, %4 : f64
      %6 = arith.addf %5, %2 : f64
      "poly.yield"(%6) : (f64) -> ()
    }) : (memref<250xf64>, memref<250xf64>, memref<250x250xf64>, memref<250xf64>) -> ()
    "poly.statement"(%y, %y, %B, %x) <{sym_name = "S3", domain = "{ [i0, i1] : 0 <= i0 <= 249 and 0 <= i1 <= 249 }", write = affine_map<(d0, d1) -> (d0)>, reads = [affine_map<(d0, d1) -> (d0)>, affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d1)>], reduction = "add", position = array<i64: 0, 2, 1>}> ({
    ^bb0(%7: f64, %8: f64, %9: f64):
      %10 = arith.mulf %8, %9 : f64
      %11 = arith.addf %10, %7 : f64
      "poly.yield"(%11) : (f64) -> ()
    }) : (memref<250xf64>, memref<250xf64>, memref<250x250xf64>, memref<250xf64>) -> ()
    "poly.statement"(%y, %alpha, %tmp, %beta, %y) <{sym_name = "S4", domain = "{ [i0] : 0 <= i0 <= 249 }", write = affine_map<(d0) -> (d0)>, reads = [affine_map<(d0) -> ()>, affine_map<(d0) -> (d0)>, affine_map<(d0) -> ()>, affine_map<(d0) -> (d0)>], position = array<i64: 0, 3>}> ({
    ^bb0(%12: f64, %13: f64, %14: f64, %15: f64):
      %16 = arith.mulf %12, %13 : f64
      %17 = arith.mulf %14, %15 : f64
      %18 = arith.addf %16, %17 : f64
      "poly.yield"(%18) : (f64) -> ()
    }) : (memref<250xf64>, memref<f64>, memref<250xf64>, memref<f64>, memref<250xf64>) -> ()
  }) : () -> ()
}