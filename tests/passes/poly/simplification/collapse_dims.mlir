// RUN: tilecast-opt %s -p collapse-dims --split-input-file | filecheck %s

// Dims that are always walked together are one loop; the dim of the broadcast stays.
"poly.scop"() <{sym_name = "k", roles = ["in", "in", "out"], packs = [unit, unit, unit]}> ({
^bb0(%x: memref<2x3x5xf32>, %b: memref<5xf32>, %y: memref<2x3x5xf32>):
  "poly.statement"(%y, %x, %b) <{sym_name = "S0", domain = "{ [i0, i1, i2] : 0 <= i0 < 2 and 0 <= i1 < 3 and 0 <= i2 < 5 }", write = affine_map<(d0, d1, d2) -> (d0, d1, d2)>, reads = [affine_map<(d0, d1, d2) -> (d0, d1, d2)>, affine_map<(d0, d1, d2) -> (d2)>]}> ({
  ^bb0(%a0: f32, %a1: f32):
    %r = arith.addf %a0, %a1 : f32
    "poly.yield"(%r) : (f32) -> ()
  }) : (memref<2x3x5xf32>, memref<2x3x5xf32>, memref<5xf32>) -> ()
}) : () -> ()

// CHECK:      "poly.scop"() <{sym_name = "k", roles = ["in", "in", "out"], packs = [unit, unit, unit]}> ({
// CHECK-NEXT: ^bb0(%x: memref<6x5xf32>, %b: memref<5xf32>, %y: memref<6x5xf32>):
// CHECK-NEXT:   "poly.statement"(%y, %x, %b) <{sym_name = "S0", domain = "{ [i0, i1] : 0 <= i0 < 6 and 0 <= i1 < 5 }", write = affine_map<(d0, d1) -> (d0, d1)>, reads = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d1)>]}> ({
// CHECK-NEXT:   ^bb0(%a0: f32, %a1: f32):
// CHECK-NEXT:     %r = arith.addf %a0, %a1 : f32
// CHECK-NEXT:     "poly.yield"(%r) : (f32) -> ()
// CHECK-NEXT:   }) : (memref<6x5xf32>, memref<6x5xf32>, memref<5xf32>) -> ()
// CHECK-NEXT: }) : () -> ()

// -----

// A transposed access keeps its dims: nothing changes.
"poly.scop"() <{sym_name = "k", roles = ["in", "out"], packs = [unit, unit]}> ({
^bb0(%x: memref<3x5xf32>, %y: memref<5x3xf32>):
  "poly.statement"(%y, %x) <{sym_name = "S0", domain = "{ [i0, i1] : 0 <= i0 < 5 and 0 <= i1 < 3 }", write = affine_map<(d0, d1) -> (d0, d1)>, reads = [affine_map<(d0, d1) -> (d1, d0)>]}> ({
  ^bb0(%a0: f32):
    %r = arith.addf %a0, %a0 : f32
    "poly.yield"(%r) : (f32) -> ()
  }) : (memref<5x3xf32>, memref<3x5xf32>) -> ()
}) : () -> ()

// CHECK:      "poly.scop"() <{sym_name = "k", roles = ["in", "out"], packs = [unit, unit]}> ({
// CHECK-NEXT: ^bb0(%x: memref<3x5xf32>, %y: memref<5x3xf32>):
// CHECK-NEXT:   "poly.statement"(%y, %x) <{sym_name = "S0", domain = "{ [i0, i1] : 0 <= i0 < 5 and 0 <= i1 < 3 }", write = affine_map<(d0, d1) -> (d0, d1)>, reads = [affine_map<(d0, d1) -> (d1, d0)>]}> ({
// CHECK-NEXT:   ^bb0(%a0: f32):
// CHECK-NEXT:     %r = arith.addf %a0, %a0 : f32
// CHECK-NEXT:     "poly.yield"(%r) : (f32) -> ()
// CHECK-NEXT:   }) : (memref<5x3xf32>, memref<3x5xf32>) -> ()
// CHECK-NEXT: }) : () -> ()

// -----

// The only block of 4 channels is indexed by the channel.
"poly.scop"() <{sym_name = "k", roles = ["in", "out"], packs = [unit, unit]}> ({
^bb0(%x: memref<1x5x4xf32>, %y: memref<4x5xf32>):
  "poly.statement"(%y, %x) <{sym_name = "S0", domain = "{ [i0, i1] : 0 <= i0 < 4 and 0 <= i1 < 5 }", write = affine_map<(d0, d1) -> (d0, d1)>, reads = [affine_map<(d0, d1) -> (d0 floordiv 4, d1, d0 mod 4)>]}> ({
  ^bb0(%a0: f32):
    "poly.yield"(%a0) : (f32) -> ()
  }) : (memref<4x5xf32>, memref<1x5x4xf32>) -> ()
}) : () -> ()

// CHECK:      ^bb0(%x: memref<5x4xf32>, %y: memref<4x5xf32>):
// CHECK-NEXT:   "poly.statement"(%y, %x) <{sym_name = "S0", domain = "{ [i0, i1] : 0 <= i0 < 4 and 0 <= i1 < 5 }", write = affine_map<(d0, d1) -> (d0, d1)>, reads = [affine_map<(d0, d1) -> (d1, d0)>]}> ({
