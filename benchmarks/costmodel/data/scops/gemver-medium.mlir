builtin.module {
  "poly.scop"() <{sym_name = "gemver", roles = ["in", "in", "inout", "in", "in", "in", "in", "inout", "inout", "in", "in"], packs = [unit, unit, unit, unit, unit, unit, unit, unit, unit, unit, unit]}> ({
  ^bb0(%alpha: memref<f64>, %beta: memref<f64>, %A: memref<400x400xf64>, %u1: memref<400xf64>, %v1: memref<400xf64>, %u2: memref<400xf64>, %v2: memref<400xf64>, %w: memref<400xf64>, %x: memref<400xf64>, %y: memref<400xf64>, %z: memref<400xf64>):
    "poly.statement"(%A, %A, %u1, %v1, %u2, %v2) <{sym_name = "S0", domain = "{ [i0, i1] : 0 <= i0 <= 399 and 0 <= i1 <= 399 }", write = affine_map<(d0, d1) -> (d0, d1)>, reads = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0)>, affine_map<(d0, d1) -> (d1)>, affine_map<(d0, d1) -> (d0)>, affine_map<(d0, d1) -> (d1)>]}> ({
    ^bb0(%0: f64, %1: f64, %2: f64, %3: f64, %4: f64):
      %5 = arith.mulf %1, %2 : f64
      %6 = arith.addf %0, %5 : f64
      %7 = arith.mulf %3, %4 : f64
      %8 = arith.addf %6, %7 : f64
      "poly.yield"(%8) : (f64) -> ()
    }) : (memref<400x400xf64>, memref<400x400xf64>, memref<400xf64>, memref<400xf64>, memref<400xf64>, memref<400xf64>) -> ()
    "poly.statement"(%x, %x, %beta, %A, %y) <{sym_name = "S1", domain = "{ [i0, i1] : 0 <= i0 <= 399 and 0 <= i1 <= 399 }", write = affine_map<(d0, d1) -> (d0)>, reads = [affine_map<(d0, d1) -> (d0)>, affine_map<(d0, d1) -> ()>, affine_map<(d0, d1) -> (d1, d0)>, affine_map<(d0, d1) -> (d1)>], reduction = "add"}> ({
    ^bb0(%9: f64, %10: f64, %11: f64, %12: f64):
      %13 = arith.mulf %10, %11 : f64
      %14 = arith.mulf %13, %12 : f64
      %15 = arith.addf %9, %14 : f64
      "poly.yield"(%15) : (f64) -> ()
    }) : (memref<400xf64>, memref<400xf64>, memref<f64>, memref<400x400xf64>, memref<400xf64>) -> ()
    "poly.statement"(%x, %x, %z) <{sym_name = "S2", domain = "{ [i0] : 0 <= i0 <= 399 }", write = affine_map<(d0) -> (d0)>, reads = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>]}> ({
    ^bb0(%16: f64, %17: f64):
      %18 = arith.addf %16, %17 : f64
      "poly.yield"(%18) : (f64) -> ()
    }) : (memref<400xf64>, memref<400xf64>, memref<400xf64>) -> ()
    "poly.statement"(%w, %w, %alpha, %A, %x) <{sym_name = "S3", domain = "{ [i0, i1] : 0 <= i0 <= 399 and 0 <= i1 <= 399 }", write = affine_map<(d0, d1) -> (d0)>, reads = [affine_map<(d0, d1) -> (d0)>, affine_map<(d0, d1) -> ()>, affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d1)>], reduction = "add"}> ({
    ^bb0(%19: f64, %20: f64, %21: f64, %22: f64):
      %23 = arith.mulf %20, %21 : f64
      %24 = arith.mulf %23, %22 : f64
      %25 = arith.addf %19, %24 : f64
      "poly.yield"(%25) : (f64) -> ()
    }) : (memref<400xf64>, memref<400xf64>, memref<f64>, memref<400x400xf64>, memref<400xf64>) -> ()
  }) : () -> ()
}