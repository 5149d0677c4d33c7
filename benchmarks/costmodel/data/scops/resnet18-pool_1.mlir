builtin.module {
  "poly.scop"() <{sym_name = "pool_1", roles = ["in", "out"], packs = [unit, unit]}> ({
  ^bb0(%a0: memref<64x112x112xf32>, %out: memref<64x56x56xf32>):
    %t0 = "poly.array"() : () -> memref<64x113x113xf32>
    "poly.statement"(%t0) <{sym_name = "S0", domain = "{ [i0, i1, i2] : 0 <= i0 < 64 and 0 <= i1 < 113 and 0 <= i2 < 113 }", write = affine_map<(d0, d1, d2) -> (d0, d1, d2)>, reads = []}> ({
      %0 = arith.constant 0xff800000 : f32
      "poly.yield"(%0) : (f32) -> ()
    }) : (memref<64x113x113xf32>) -> ()
    "poly.statement"(%t0, %a0) <{sym_name = "S1", domain = "{ [i0, i1, i2] : 0 <= i0 < 64 and 0 <= i1 < 112 and 0 <= i2 < 112 }", write = affine_map<(d0, d1, d2) -> (d0, (d1 + 1), (d2 + 1))>, reads = [affine_map<(d0, d1, d2) -> (d0, d1, d2)>]}> ({
    ^bb0(%1: f32):
      "poly.yield"(%1) : (f32) -> ()
    }) : (memref<64x113x113xf32>, memref<64x112x112xf32>) -> ()
    %t2 = "poly.array"() : () -> memref<64x56x56xf32>
    "poly.statement"(%t2) <{sym_name = "S2", domain = "{ [i0, i1, i2] : 0 <= i0 < 64 and 0 <= i1 < 56 and 0 <= i2 < 56 }", write = affine_map<(d0, d1, d2) -> (d0, d1, d2)>, reads = []}> ({
      %2 = arith.constant 0xff800000 : f32
      "poly.yield"(%2) : (f32) -> ()
    }) : (memref<64x56x56xf32>) -> ()
    "poly.statement"(%t2, %t2, %t0) <{sym_name = "S3", domain = "{ [i0, i1, i2, i3, i4] : 0 <= i0 < 64 and 0 <= i1 < 56 and 0 <= i2 < 56 and 0 <= i3 < 3 and 0 <= i4 < 3 }", write = affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2)>, reads = [affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2)>, affine_map<(d0, d1, d2, d3, d4) -> (d0, ((d1 * 2) + d3), ((d2 * 2) + d4))>], reduction = "max"}> ({
    ^bb0(%3: f32, %4: f32):
      %5 = arith.maximumf %3, %4 : f32
      "poly.yield"(%5) : (f32) -> ()
    }) : (memref<64x56x56xf32>, memref<64x56x56xf32>, memref<64x113x113xf32>) -> ()
    "poly.statement"(%out, %t2) <{sym_name = "S4", domain = "{ [i0, i1, i2] : 0 <= i0 < 64 and 0 <= i1 < 56 and 0 <= i2 < 56 }", write = affine_map<(d0, d1, d2) -> (d0, d1, d2)>, reads = [affine_map<(d0, d1, d2) -> (d0, d1, d2)>]}> ({
    ^bb0(%6: f32):
      "poly.yield"(%6) : (f32) -> ()
    }) : (memref<64x56x56xf32>, memref<64x56x56xf32>) -> ()
  }) : () -> ()
}