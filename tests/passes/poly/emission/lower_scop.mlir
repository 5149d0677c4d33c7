// RUN: tilecast-opt %s -p lower-scop --split-input-file | filecheck %s

// The temporary shrinks to one row, local to the fused loop.
"poly.scop"() <{sym_name = "k", roles = ["in", "out"], packs = [unit, unit], schedule = "fuse(S0.i0+S1.i0, i)"}> ({
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

// CHECK:      func.func @k(%x: memref<5x7xf32>, %y: memref<5x7xf32>) attributes {tilecast.roles = ["in", "out"]} {
// CHECK-NEXT:   %0 = arith.constant 0 : index
// CHECK-NEXT:   %1 = arith.constant 5 : index
// CHECK-NEXT:   %2 = arith.constant 1 : index
// CHECK-NEXT:   scf.for %i = %0 to %1 step %2 {
// CHECK-NEXT:     %t = memref.alloca() {alignment = 64 : i64} : memref<1x16xf32>
// CHECK-NEXT:     %3 = arith.constant 0 : index
// CHECK-NEXT:     %4 = arith.constant 7 : index
// CHECK-NEXT:     %5 = arith.constant 1 : index
// CHECK-NEXT:     scf.for %S0_i1 = %3 to %4 step %5 {
// CHECK-NEXT:       %6 = memref.load %x[%i, %S0_i1] : memref<5x7xf32>
// CHECK-NEXT:       %7 = arith.addf %6, %6 : f32
// CHECK-NEXT:       %8 = arith.constant 0 : index
// CHECK-NEXT:       memref.store %7, %t[%8, %S0_i1] : memref<1x16xf32>
// CHECK-NEXT:     }
// CHECK-NEXT:     scf.for %S1_i1 = %3 to %4 step %5 {
// CHECK-NEXT:       %9 = arith.constant 0 : index
// CHECK-NEXT:       %10 = memref.load %t[%9, %S1_i1] : memref<1x16xf32>
// CHECK-NEXT:       %11 = memref.load %x[%i, %S1_i1] : memref<5x7xf32>
// CHECK-NEXT:       %12 = arith.addf %10, %11 : f32
// CHECK-NEXT:       memref.store %12, %y[%i, %S1_i1] : memref<5x7xf32>
// CHECK-NEXT:     }
// CHECK-NEXT:   }
// CHECK-NEXT:   func.return
// CHECK-NEXT: }

// -----

// One worksharing loop; seven columns are eight masked lanes.
"poly.scop"() <{sym_name = "k", roles = ["in", "out"], packs = [unit, unit], schedule = "fuse(S0.i0+S1.i0, i)\0Aparallelize(i)\0Avectorize(S0.i1, 8)\0Avectorize(S1.i1, 8)"}> ({
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

// CHECK:      func.func @k(%x: memref<5x7xf32>, %y: memref<5x7xf32>) attributes {tilecast.roles = ["in", "out"]} {
// CHECK-NEXT:   %0 = arith.constant 0 : index
// CHECK-NEXT:   %1 = arith.constant 5 : index
// CHECK-NEXT:   %2 = arith.constant 1 : index
// CHECK-NEXT:   "scf.parallel"(%0, %1, %2) <{operandSegmentSizes = array<i32: 1, 1, 1, 0>}> ({
// CHECK-NEXT:   ^bb0(%i: index):
// CHECK-NEXT:     %t = memref.alloca() {alignment = 64 : i64} : memref<1x16xf32>
// CHECK-NEXT:     %3 = "vector.constant_mask"() <{count = #builtin.int<7>}> : () -> vector<8xi1>
// CHECK-NEXT:     %4 = arith.constant 0 : index
// CHECK-NEXT:     %5 = arith.constant 0.000000e+00 : f32
// CHECK-NEXT:     %6 = vector.broadcast %5 : f32 to vector<8xf32>
// CHECK-NEXT:     %7 = vector.maskedload %x[%i, %4], %3, %6 : memref<5x7xf32>, vector<8xi1>, vector<8xf32> into vector<8xf32>
// CHECK-NEXT:     %8 = arith.addf %7, %7 : vector<8xf32>
// CHECK-NEXT:     vector.maskedstore %t[%4, %4], %3, %8 : memref<1x16xf32>, vector<8xi1>, vector<8xf32>
// CHECK-NEXT:     %9 = "vector.constant_mask"() <{count = #builtin.int<7>}> : () -> vector<8xi1>
// CHECK-NEXT:     %10 = vector.maskedload %t[%4, %4], %9, %6 : memref<1x16xf32>, vector<8xi1>, vector<8xf32> into vector<8xf32>
// CHECK-NEXT:     %11 = vector.maskedload %x[%i, %4], %9, %6 : memref<5x7xf32>, vector<8xi1>, vector<8xf32> into vector<8xf32>
// CHECK-NEXT:     %12 = arith.addf %10, %11 : vector<8xf32>
// CHECK-NEXT:     vector.maskedstore %y[%i, %4], %9, %12 : memref<5x7xf32>, vector<8xi1>, vector<8xf32>
// CHECK-NEXT:     scf.reduce
// CHECK-NEXT:   }) : (index, index, index) -> ()
// CHECK-NEXT:   func.return
// CHECK-NEXT: }

// -----

// Lanes are reduced in a fixed tree; the last vector, with five lanes, is peeled.
"poly.scop"() <{sym_name = "k", roles = ["in", "out"], packs = [unit, unit], schedule = "split(S1.i1, 8, o, l)\0Avectorize(l, 8)"}> ({
^bb0(%x: memref<3x21xf32>, %s: memref<3xf32>):
  "poly.statement"(%s) <{sym_name = "S0", domain = "{ [i0] : 0 <= i0 < 3 }", write = affine_map<(d0) -> (d0)>, reads = []}> ({
    %r = arith.constant 0.000000e+00 : f32
    "poly.yield"(%r) : (f32) -> ()
  }) : (memref<3xf32>) -> ()
  "poly.statement"(%s, %s, %x) <{sym_name = "S1", domain = "{ [i0, i1] : 0 <= i0 < 3 and 0 <= i1 < 21 }", write = affine_map<(d0, d1) -> (d0)>, reads = [affine_map<(d0, d1) -> (d0)>, affine_map<(d0, d1) -> (d0, d1)>], reduction = "add"}> ({
  ^bb0(%a0: f32, %a1: f32):
    %r_1 = arith.addf %a0, %a1 : f32
    "poly.yield"(%r_1) : (f32) -> ()
  }) : (memref<3xf32>, memref<3xf32>, memref<3x21xf32>) -> ()
}) : () -> ()

// CHECK:      func.func @k(%x: memref<3x21xf32>, %s: memref<3xf32>) attributes {tilecast.roles = ["in", "out"]} {
// CHECK-NEXT:   %0 = arith.constant 0 : index
// CHECK-NEXT:   %1 = arith.constant 3 : index
// CHECK-NEXT:   %2 = arith.constant 1 : index
// CHECK-NEXT:   scf.for %S0_i0 = %0 to %1 step %2 {
// CHECK-NEXT:     %3 = arith.constant 0.000000e+00 : f32
// CHECK-NEXT:     memref.store %3, %s[%S0_i0] : memref<3xf32>
// CHECK-NEXT:   }
// CHECK-NEXT:   scf.for %S1_i0 = %0 to %1 step %2 {
// CHECK-NEXT:     %4 = arith.constant 0 : index
// CHECK-NEXT:     %5 = arith.constant 2 : index
// CHECK-NEXT:     %6 = arith.constant 1 : index
// CHECK-NEXT:     scf.for %o = %4 to %5 step %6 {
// CHECK-NEXT:       %7 = arith.constant 8 : index
// CHECK-NEXT:       %8 = arith.muli %o, %7 : index
// CHECK-NEXT:       %9 = vector.load %x[%S1_i0, %8] : memref<3x21xf32>, vector<8xf32>
// CHECK-NEXT:       %10 = memref.load %s[%S1_i0] : memref<3xf32>
// CHECK-NEXT:       %11 = vector.reduction <add>, %9 : vector<8xf32> into f32
// CHECK-NEXT:       %12 = arith.addf %10, %11 : f32
// CHECK-NEXT:       memref.store %12, %s[%S1_i0] : memref<3xf32>
// CHECK-NEXT:     }
// CHECK-NEXT:     %13 = "vector.constant_mask"() <{count = #builtin.int<5>}> : () -> vector<8xi1>
// CHECK-NEXT:     %14 = arith.constant 16 : index
// CHECK-NEXT:     %15 = arith.constant 0.000000e+00 : f32
// CHECK-NEXT:     %16 = vector.broadcast %15 : f32 to vector<8xf32>
// CHECK-NEXT:     %17 = vector.maskedload %x[%S1_i0, %14], %13, %16 : memref<3x21xf32>, vector<8xi1>, vector<8xf32> into vector<8xf32>
// CHECK-NEXT:     %18 = memref.load %s[%S1_i0] : memref<3xf32>
// CHECK-NEXT:     %19 = "vector.select"(%13, %17, %16) : (vector<8xi1>, vector<8xf32>, vector<8xf32>) -> vector<8xf32>
// CHECK-NEXT:     %20 = vector.reduction <add>, %19 : vector<8xf32> into f32
// CHECK-NEXT:     %21 = arith.addf %18, %20 : f32
// CHECK-NEXT:     memref.store %21, %s[%S1_i0] : memref<3xf32>
// CHECK-NEXT:   }
// CHECK-NEXT:   func.return
// CHECK-NEXT: }

// -----

// A triangle: strips of eight from the diagonal on, then one masked vector.
"poly.scop"() <{sym_name = "k", roles = ["in", "out"], packs = [unit, unit], schedule = "vectorize(S0.i1, 8)"}> ({
^bb0(%x: memref<40x40xf32>, %y: memref<40x40xf32>):
  "poly.statement"(%y, %x) <{sym_name = "S0", domain = "{ [i0, i1] : 0 <= i0 < 40 and i0 <= i1 < 40 }", write = affine_map<(d0, d1) -> (d0, d1)>, reads = [affine_map<(d0, d1) -> (d0, d1)>]}> ({
  ^bb0(%a0: f32):
    %r = arith.addf %a0, %a0 : f32
    "poly.yield"(%r) : (f32) -> ()
  }) : (memref<40x40xf32>, memref<40x40xf32>) -> ()
}) : () -> ()

// CHECK:      func.func @k(%x: memref<40x40xf32>, %y: memref<40x40xf32>) attributes {tilecast.roles = ["in", "out"]} {
// CHECK-NEXT:   %0 = arith.constant 0 : index
// CHECK-NEXT:   %1 = arith.constant 40 : index
// CHECK-NEXT:   %2 = arith.constant 1 : index
// CHECK-NEXT:   scf.for %S0_i0 = %0 to %1 step %2 {
// CHECK-NEXT:     %3 = arith.constant 3 : index
// CHECK-NEXT:     %4 = arith.constant -1 : index
// CHECK-NEXT:     %5 = arith.muli %S0_i0, %4 : index
// CHECK-NEXT:     %6 = arith.shrsi %5, %3 : index
// CHECK-NEXT:     %7 = arith.constant 33 : index
// CHECK-NEXT:     %8 = arith.constant 8 : index
// CHECK-NEXT:     scf.for %S0_i1 = %S0_i0 to %7 step %8 {
// CHECK-NEXT:       %9 = vector.load %x[%S0_i0, %S0_i1] : memref<40x40xf32>, vector<8xf32>
// CHECK-NEXT:       %10 = arith.addf %9, %9 : vector<8xf32>
// CHECK-NEXT:       vector.store %10, %y[%S0_i0, %S0_i1] : memref<40x40xf32>, vector<8xf32>
// CHECK-NEXT:     }
// CHECK-NEXT:     %11 = arith.constant 0 : index
// CHECK-NEXT:     %12 = arith.muli %S0_i0, %4 : index
// CHECK-NEXT:     %13 = arith.constant -8 : index
// CHECK-NEXT:     %14 = arith.muli %6, %13 : index
// CHECK-NEXT:     %15 = arith.addi %12, %14 : index
// CHECK-NEXT:     %16 = arith.cmpi slt, %11, %15 : index
// CHECK-NEXT:     scf.if %16 {
// CHECK-NEXT:       %17 = arith.constant -1 : index
// CHECK-NEXT:       %18 = arith.muli %S0_i0, %17 : index
// CHECK-NEXT:       %19 = arith.constant -8 : index
// CHECK-NEXT:       %20 = arith.muli %6, %19 : index
// CHECK-NEXT:       %21 = arith.addi %18, %20 : index
// CHECK-NEXT:       %22 = vector.create_mask %21 : vector<8xi1>
// CHECK-NEXT:       %23 = arith.constant 8 : index
// CHECK-NEXT:       %24 = arith.muli %6, %23 : index
// CHECK-NEXT:       %25 = arith.addi %S0_i0, %24 : index
// CHECK-NEXT:       %26 = arith.constant 40 : index
// CHECK-NEXT:       %27 = arith.addi %25, %26 : index
// CHECK-NEXT:       %28 = arith.constant 0.000000e+00 : f32
// CHECK-NEXT:       %29 = vector.broadcast %28 : f32 to vector<8xf32>
// CHECK-NEXT:       %30 = vector.maskedload %x[%S0_i0, %27], %22, %29 : memref<40x40xf32>, vector<8xi1>, vector<8xf32> into vector<8xf32>
// CHECK-NEXT:       %31 = arith.addf %30, %30 : vector<8xf32>
// CHECK-NEXT:       %32 = arith.muli %6, %23 : index
// CHECK-NEXT:       %33 = arith.addi %S0_i0, %32 : index
// CHECK-NEXT:       %34 = arith.addi %33, %26 : index
// CHECK-NEXT:       vector.maskedstore %y[%S0_i0, %34], %22, %31 : memref<40x40xf32>, vector<8xi1>, vector<8xf32>
// CHECK-NEXT:     }
// CHECK-NEXT:   }
// CHECK-NEXT:   func.return
// CHECK-NEXT: }

// -----

// One element for all lanes: an accumulator across the strips, one reduction after them.
"poly.scop"() <{sym_name = "k", roles = ["in", "inout"], packs = [unit, unit], schedule = "vectorize(S0.i1, 8)"}> ({
^bb0(%x: memref<3x29xf32>, %s: memref<3xf32>):
  "poly.statement"(%s, %s, %x) <{sym_name = "S0", domain = "{ [i0, i1] : 0 <= i0 < 3 and 0 <= i1 < 29 }", write = affine_map<(d0, d1) -> (d0)>, reads = [affine_map<(d0, d1) -> (d0)>, affine_map<(d0, d1) -> (d0, d1)>], reduction = "add"}> ({
  ^bb0(%a0: f32, %a1: f32):
    %r = arith.addf %a0, %a1 : f32
    "poly.yield"(%r) : (f32) -> ()
  }) : (memref<3xf32>, memref<3xf32>, memref<3x29xf32>) -> ()
}) : () -> ()

// CHECK:      func.func @k(%x: memref<3x29xf32>, %s: memref<3xf32>) attributes {tilecast.roles = ["in", "inout"]} {
// CHECK-NEXT:   %0 = arith.constant 0 : index
// CHECK-NEXT:   %1 = arith.constant 3 : index
// CHECK-NEXT:   %2 = arith.constant 1 : index
// CHECK-NEXT:   scf.for %S0_i0 = %0 to %1 step %2 {
// CHECK-NEXT:     %3 = arith.constant 0.000000e+00 : f32
// CHECK-NEXT:     %4 = vector.broadcast %3 : f32 to vector<8xf32>
// CHECK-NEXT:     %5 = arith.constant 0 : index
// CHECK-NEXT:     %6 = arith.constant 22 : index
// CHECK-NEXT:     %7 = arith.constant 8 : index
// CHECK-NEXT:     %8 = scf.for %S0_i1 = %5 to %6 step %7 iter_args(%9 = %4) -> (vector<8xf32>) {
// CHECK-NEXT:       %10 = vector.load %x[%S0_i0, %S0_i1] : memref<3x29xf32>, vector<8xf32>
// CHECK-NEXT:       %11 = arith.addf %9, %10 : vector<8xf32>
// CHECK-NEXT:       scf.yield %11 : vector<8xf32>
// CHECK-NEXT:     }
// CHECK-NEXT:     %12 = "vector.constant_mask"() <{count = #builtin.int<5>}> : () -> vector<8xi1>
// CHECK-NEXT:     %13 = arith.constant 24 : index
// CHECK-NEXT:     %14 = vector.maskedload %x[%S0_i0, %13], %12, %4 : memref<3x29xf32>, vector<8xi1>, vector<8xf32> into vector<8xf32>
// CHECK-NEXT:     %15 = arith.addf %8, %14 : vector<8xf32>
// CHECK-NEXT:     %16 = "vector.select"(%12, %15, %8) : (vector<8xi1>, vector<8xf32>, vector<8xf32>) -> vector<8xf32>
// CHECK-NEXT:     %17 = memref.load %s[%S0_i0] : memref<3xf32>
// CHECK-NEXT:     %18 = vector.reduction <add>, %16 : vector<8xf32> into f32
// CHECK-NEXT:     %19 = arith.addf %17, %18 : f32
// CHECK-NEXT:     memref.store %19, %s[%S0_i0] : memref<3xf32>
// CHECK-NEXT:   }
// CHECK-NEXT:   func.return
// CHECK-NEXT: }

// -----

// No scop: nothing changes.
func.func @k(%x: memref<3xf32>) {
  func.return
}

// CHECK:      func.func @k(%x: memref<3xf32>) {
// CHECK-NEXT:   func.return
// CHECK-NEXT: }
