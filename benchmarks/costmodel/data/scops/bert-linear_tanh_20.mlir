builtin.module {
  "poly.scop"() <{sym_name = "linear_tanh_20", roles = ["in", "weight", "weight", "out"], packs = [unit, unit, unit, unit]}> ({
  ^bb0(%a0: memref<64x128xf32>, %weight: memref<128x128xf32>, %bias: memref<128xf32>, %out: memref<2x128xf32>):
    %t0 = "poly.array"() : () -> memref<2x128xf32>
    "poly.statement"(%t0) <{sym_name = "S0", domain = "{ [i0, i1] : 0 <= i0 < 2 and 0 <= i1 < 128 }", write = affine_map<(d0, d1) -> (d0, d1)>, reads = []}> ({
      %0 = arith.constant 0.000000e+00 : f32
      "poly.yield"(%0) : (f32) -> ()
    }) : (memref<2x128xf32>) -> ()
    "poly.statement"(%t0, %t0, %a0, %weight) <{sym_name = "S1", domain = "{ [i0, i1, i2] : 0 <= i0 < 2 and 0 <= i1 < 128 and 0 <= i2 < 128 }", write = affine_map<(d0, d1, d2) -> (d0, d1)>, reads = [affine_map<(d0, d1, d2) -> (d0, d1)>, affine_map<(d0, d1, d2) -> ((d0 * 32), d2)>, affine_map<(d0, d1, d2) -> (d1, d2)>], reduction = "add"}> ({
    ^bb0(%1: f32, %2: f32, %3: f32):
      %4 = arith.mulf %2, %3 : f32
      %5 = arith.addf %1, %4 : f32
      "poly.yield"(%5) : (f32) -> ()
    }) : (memref<2x128xf32>, memref<2x128xf32>, memref<64x128xf32>, memref<128x128xf32>) -> ()
    "poly.statement"(%out, %t0, %bias) <{sym_name = "S3", domain = "{ [i0, i1] : 0 <= i0 < 2 and 0 <= i1 < 128 }", write = affine_map<(d0, d1) -> (d0, d1)>, reads = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d1)>]}> ({
    ^bb0(%6: f32, %7: f32):
      %8 = arith.addf %6, %7 : f32
      %9 = math.tanh %8 : f32
      "poly.yield"(%9) : (f32) -> ()
    }) : (memref<2x128xf32>, memref<2x128xf32>, memref<128xf32>) -> ()
  }) : () -> ()
}