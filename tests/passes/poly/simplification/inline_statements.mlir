// RUN: tilecast-opt %s -p inline-statements --split-input-file | filecheck %s

// A producer with one reader is computed there, and its array disappears.
"poly.scop"() <{sym_name = "k", roles = ["in", "out"], packs = [unit, unit]}> ({
^bb0(%x: memref<5x7xf32>, %y: memref<5x7xf32>):
  %t = "poly.array"() : () -> memref<5x7xf32>
  "poly.statement"(%t, %x) <{sym_name = "S0", domain = "{ [i0, i1] : 0 <= i0 < 5 and 0 <= i1 < 7 }", write = affine_map<(d0, d1) -> (d0, d1)>, reads = [affine_map<(d0, d1) -> (d0, d1)>]}> ({
  ^bb0(%a0: f32):
    %r = arith.addf %a0, %a0 : f32
    "poly.yield"(%r) : (f32) -> ()
  }) : (memref<5x7xf32>, memref<5x7xf32>) -> ()
  "poly.statement"(%y, %t, %x) <{sym_name = "S1", domain = "{ [i0, i1] : 0 <= i0 < 5 and 0 <= i1 < 7 }", write = affine_map<(d0, d1) -> (d0, d1)>, reads = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>]}> ({
  ^bb0(%a0_1: f32, %a1: f32):
    %r_1 = arith.addf %a0_1, %a1 : f32
    "poly.yield"(%r_1) : (f32) -> ()
  }) : (memref<5x7xf32>, memref<5x7xf32>, memref<5x7xf32>) -> ()
}) : () -> ()

// CHECK:      "poly.scop"() <{sym_name = "k", roles = ["in", "out"], packs = [unit, unit]}> ({
// CHECK-NEXT: ^bb0(%x: memref<5x7xf32>, %y: memref<5x7xf32>):
// CHECK-NEXT:   "poly.statement"(%y, %x) <{sym_name = "S1", domain = "{ [i0, i1] : 0 <= i0 < 5 and 0 <= i1 < 7 }", write = affine_map<(d0, d1) -> (d0, d1)>, reads = [affine_map<(d0, d1) -> (d0, d1)>]}> ({
// CHECK-NEXT:   ^bb0(%0: f32):
// CHECK-NEXT:     %r = arith.addf %0, %0 : f32
// CHECK-NEXT:     %r_1 = arith.addf %r, %0 : f32
// CHECK-NEXT:     "poly.yield"(%r_1) : (f32) -> ()
// CHECK-NEXT:   }) : (memref<5x7xf32>, memref<5x7xf32>) -> ()
// CHECK-NEXT: }) : () -> ()

// -----

// Two readers would compute it twice: nothing changes.
"poly.scop"() <{sym_name = "k", roles = ["in", "out", "out"], packs = [unit, unit, unit]}> ({
^bb0(%x: memref<5xf32>, %y: memref<5xf32>, %z: memref<5xf32>):
  %t = "poly.array"() : () -> memref<5xf32>
  "poly.statement"(%t, %x) <{sym_name = "S0", domain = "{ [i0] : 0 <= i0 < 5 }", write = affine_map<(d0) -> (d0)>, reads = [affine_map<(d0) -> (d0)>]}> ({
  ^bb0(%a0: f32):
    %r = arith.addf %a0, %a0 : f32
    "poly.yield"(%r) : (f32) -> ()
  }) : (memref<5xf32>, memref<5xf32>) -> ()
  "poly.statement"(%y, %t) <{sym_name = "S1", domain = "{ [i0] : 0 <= i0 < 5 }", write = affine_map<(d0) -> (d0)>, reads = [affine_map<(d0) -> (d0)>]}> ({
  ^bb0(%a0_1: f32):
    "poly.yield"(%a0_1) : (f32) -> ()
  }) : (memref<5xf32>, memref<5xf32>) -> ()
  "poly.statement"(%z, %t) <{sym_name = "S2", domain = "{ [i0] : 0 <= i0 < 5 }", write = affine_map<(d0) -> (d0)>, reads = [affine_map<(d0) -> (d0)>]}> ({
  ^bb0(%a0_2: f32):
    "poly.yield"(%a0_2) : (f32) -> ()
  }) : (memref<5xf32>, memref<5xf32>) -> ()
}) : () -> ()

// CHECK:      "poly.scop"() <{sym_name = "k", roles = ["in", "out", "out"], packs = [unit, unit, unit]}> ({
// CHECK-NEXT: ^bb0(%x: memref<5xf32>, %y: memref<5xf32>, %z: memref<5xf32>):
// CHECK-NEXT:   %t = "poly.array"() : () -> memref<5xf32>
// CHECK-NEXT:   "poly.statement"(%t, %x) <{sym_name = "S0", domain = "{ [i0] : 0 <= i0 < 5 }", write = affine_map<(d0) -> (d0)>, reads = [affine_map<(d0) -> (d0)>]}> ({
// CHECK-NEXT:   ^bb0(%a0: f32):
// CHECK-NEXT:     %r = arith.addf %a0, %a0 : f32
// CHECK-NEXT:     "poly.yield"(%r) : (f32) -> ()
// CHECK-NEXT:   }) : (memref<5xf32>, memref<5xf32>) -> ()
// CHECK-NEXT:   "poly.statement"(%y, %t) <{sym_name = "S1", domain = "{ [i0] : 0 <= i0 < 5 }", write = affine_map<(d0) -> (d0)>, reads = [affine_map<(d0) -> (d0)>]}> ({
// CHECK-NEXT:   ^bb0(%a0_1: f32):
// CHECK-NEXT:     "poly.yield"(%a0_1) : (f32) -> ()
// CHECK-NEXT:   }) : (memref<5xf32>, memref<5xf32>) -> ()
// CHECK-NEXT:   "poly.statement"(%z, %t) <{sym_name = "S2", domain = "{ [i0] : 0 <= i0 < 5 }", write = affine_map<(d0) -> (d0)>, reads = [affine_map<(d0) -> (d0)>]}> ({
// CHECK-NEXT:   ^bb0(%a0_2: f32):
// CHECK-NEXT:     "poly.yield"(%a0_2) : (f32) -> ()
// CHECK-NEXT:   }) : (memref<5xf32>, memref<5xf32>) -> ()
// CHECK-NEXT: }) : () -> ()
