builtin.module {
  "poly.scop"() <{sym_name = "conv_add_relu_13", roles = ["in", "weight", "weight", "in", "out"], packs = [unit, unit, unit, unit, unit]}> ({
  ^bb0(%a0: memref<128x28x28xf32>, %weight_scaled: memref<256x128xf32>, %weight_scaled_bias_scaled: memref<256xf32>, %a3: memref<256x14x14xf32>, %out: memref<256x14x14xf32>):
    %t0 = "poly.array"() : () -> memref<256x14x14xf32>
    "poly.statement"(%t0) <{sym_name = "S0", domain = "{ [i0, i1, i2] : 0 <= i0 < 256 and 0 <= i1 < 14 and 0 <= i2 < 14 }", write = affine_map<(d0, d1, d2) -> (d0, d1, d2)>, reads = []}> ({
      %0 = arith.constant 0.000000e+00 : f32
      "poly.yield"(%0) : (f32) -> ()
    }) : (memref<256x14x14xf32>) -> ()
    "poly.statement"(%t0, %t0, %a0, %weight_scaled) <{sym_name = "S1", domain = "{ [i0, i1, i2, i3] : 0 <= i0 < 256 and 0 <= i1 < 14 and 0 <= i2 < 14 and 0 <= i3 < 128 }", write = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2)>, reads = [affine_map<(d0, d1, d2, d3) -> (d0, d1, d2)>, affine_map<(d0, d1, d2, d3) -> (d3, (d1 * 2), (d2 * 2))>, affine_map<(d0, d1, d2, d3) -> (d0, d3)>], reduction = "add"}> ({
    ^bb0(%1: f32, %2: f32, %3: f32):
      %4 = arith.mulf %2, %3 : f32
      %5 = arith.addf %1, %4 : f32
      "poly.yield"(%5) : (f32) -> ()
    }) : (memref<256x14x14xf32>, memref<256x14x14xf32>, memref<128x28x28xf32>, memref<256x128xf32>) -> ()
    "poly.statement"(%out, %a3, %t0, %weight_scaled_bias_scaled) <{sym_name = "S4", domain = "{ [i0, i1, i2] : 0 <= i0 < 256 and 0 <= i1 < 14 and 0 <= i2 < 14 }", write = affine_map<(d0, d1, d2) -> (d0, d1, d2)>, reads = [affine_map<(d0, d1, d2) -> (d0, d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1, d2)>, affine_map<(d0, d1, d2) -> (d0)>]}> ({
    ^bb0(%6: f32, %7: f32, %8: f32):
      %9 = arith.addf %7, %8 : f32
      %10 = arith.addf %6, %9 : f32
      %11 = arith.constant 0.000000e+00 : f32
      %12 = arith.maximumf %10, %11 : f32
      "poly.yield"(%12) : (f32) -> ()
    }) : (memref<256x14x14xf32>, memref<256x14x14xf32>, memref<256x14x14xf32>, memref<256xf32>) -> ()
  }) : () -> ()
}