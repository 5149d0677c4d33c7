builtin.module {
  "poly.scop"() <{sym_name = "conv_relu_11", roles = ["in", "weight", "weight", "out"], packs = [unit, unit, unit, unit]}> ({
  ^bb0(%a0: memref<128x28x28xf32>, %weight_scaled: memref<256x128x3x3xf32>, %weight_scaled_bias_scaled: memref<256xf32>, %out: memref<256x14x14xf32>):
    %t0 = "poly.array"() : () -> memref<128x30x30xf32>
    "poly.statement"(%t0) <{sym_name = "S0", domain = "{ [i0, i1, i2] : 0 <= i0 < 128 and 0 <= i1 < 30 and 0 <= i2 < 30 }", write = affine_map<(d0, d1, d2) -> (d0, d1, d2)>, reads = []}> ({
      %0 = arith.constant 0.000000e+00 : f32
      "poly.yield"(%0) : (f32) -> ()
    }) : (memref<128x30x30xf32>) -> ()
    "poly.statement"(%t0, %a0) <{sym_name = "S1", domain = "{ [i0, i1, i2] : 0 <= i0 < 128 and 0 <= i1 < 28 and 0 <= i2 < 28 }", write = affine_map<(d0, d1, d2) -> (d0, (d1 + 1), (d2 + 1))>, reads = [affine_map<(d0, d1, d2) -> (d0, d1, d2)>]}> ({
    ^bb0(%1: f32):
      "poly.yield"(%1) : (f32) -> ()
    }) : (memref<128x30x30xf32>, memref<128x28x28xf32>) -> ()
    %t2 = "poly.array"() : () -> memref<256x14x14xf32>
    "poly.statement"(%t2) <{sym_name = "S2", domain = "{ [i0, i1, i2] : 0 <= i0 < 256 and 0 <= i1 < 14 and 0 <= i2 < 14 }", write = affine_map<(d0, d1, d2) -> (d0, d1, d2)>, reads = []}> ({
      %2 = arith.constant 0.000000e+00 : f32
      "poly.yield"(%2) : (f32) -> ()
    }) : (memref<256x14x14xf32>) -> ()
    "poly.statement"(%t2, %t2, %t0, %weight_scaled) <{sym_name = "S3", domain = "{ [i0, i1, i2, i3, i4, i5] : 0 <= i0 < 256 and 0 <= i1 < 14 and 0 <= i2 < 14 and 0 <= i3 < 128 and 0 <= i4 < 3 and 0 <= i5 < 3 }", write = affine_map<(d0, d1, d2, d3, d4, d5) -> (d0, d1, d2)>, reads = [affine_map<(d0, d1, d2, d3, d4, d5) -> (d0, d1, d2)>, affine_map<(d0, d1, d2, d3, d4, d5) -> (d3, ((d1 * 2) + d4), ((d2 * 2) + d5))>, affine_map<(d0, d1, d2, d3, d4, d5) -> (d0, d3, d4, d5)>], reduction = "add"}> ({
    ^bb0(%3: f32, %4: f32, %5: f32):
      %6 = arith.mulf %4, %5 : f32
      %7 = arith.addf %3, %6 : f32
      "poly.yield"(%7) : (f32) -> ()
    }) : (memref<256x14x14xf32>, memref<256x14x14xf32>, memref<128x30x30xf32>, memref<256x128x3x3xf32>) -> ()
    "poly.statement"(%out, %t2, %weight_scaled_bias_scaled) <{sym_name = "S5", domain = "{ [i0, i1, i2] : 0 <= i0 < 256 and 0 <= i1 < 14 and 0 <= i2 < 14 }", write = affine_map<(d0, d1, d2) -> (d0, d1, d2)>, reads = [affine_map<(d0, d1, d2) -> (d0, d1, d2)>, affine_map<(d0, d1, d2) -> (d0)>]}> ({
    ^bb0(%8: f32, %9: f32):
      %10 = arith.addf %8, %9 : f32
      %11 = arith.constant 0.000000e+00 : f32
      %12 = arith.maximumf %10, %11 : f32
      "poly.yield"(%12) : (f32) -> ()
    }) : (memref<256x14x14xf32>, memref<256x14x14xf32>, memref<256xf32>) -> ()
  }) : () -> ()
}