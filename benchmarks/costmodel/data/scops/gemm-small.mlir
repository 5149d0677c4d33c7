builtin.module {
  "poly.scop"() <{sym_name = "gemm", roles = ["in", "in", "inout", "in", "in"], packs = [unit, unit, unit, unit, unit]}> ({
  ^bb0(%alpha: memref<f64>, %beta: memref<f64>, %C: memref<60x70xf64>, %A: memref<60x80xf64>, %B: memref<80x70xf64>):
    "poly.statement"(%C, %C, %beta) <{sym_name = "S0", domain = "{ [i0, i1] : 0 <= i0 <= 59 and 0 <= i1 <= 69 }", write = affine_map<(d0, d1) -> (d0, d1)>, reads = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> ()>], position = array<i64: 0, 0, 0>}> ({
    ^bb0(%0: f64, %1: f64):
      %2 = arith.mulf %0, %1 : f64
      "poly.yield"(%2) : (f64) -> ()
    }) : (memref<60x70xf64>, memref<60x70xf64>, memref<f64>) -> ()
    "poly.statement"(%C, %C, %alpha, %A, %B) <{sym_name = "S1", domain = "{ [i0, i1, i2] : 0 <= i0 <= 59 and 0 <= i1 <= 79 and 0 <= i2 <= 69 }", write = affine_map<(d0, d1, d2) -> (d0, d2)>, reads = [affine_map<(d0, d1, d2) -> (d0, d2)>, affine_map<(d0, d1, d2) -> ()>, affine_map<(d0, d1, d2) -> (d0, d1)>, affine_map<(d0, d1, d2) -> (d1, d2)>], reduction = "add", position = array<i64: 0, 1, 0, 0>}> ({
    ^bb0(%3: f64, %4: f64, %5: f64, %6: f64):
      %7 = arith.mulf %4, %5 : f64
      %8 = arith.mulf %7, %6 : f64
      %9 = arith.addf %3, %8 : f64
      "poly.yield"(%9) : (f64) -> ()
    }) : (memref<60x70xf64>, memref<60x70xf64>, memref<f64>, memref<60x80xf64>, memref<80x70xf64>) -> ()
  }) : () -> ()
}