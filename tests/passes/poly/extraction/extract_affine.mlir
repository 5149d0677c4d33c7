// RUN: tilecast-opt %s --split-input-file -p extract-affine | filecheck %s

// Loops that statements share are kept as positions; subscripts are dims again.
func.func @forward(%L: memref<8x8xf64>, %x: memref<8xf64>, %y: memref<8xf64>) {
  affine.for %i = 0 to 8 {
    affine.for %j = 0 to affine_map<(d0) -> (d0)>(%i) {
      %0 = affine.load %x[%i] : memref<8xf64>
      %1 = affine.load %L[%i, %j] : memref<8x8xf64>
      %2 = affine.load %y[%j] : memref<8xf64>
      %3 = arith.mulf %1, %2 : f64
      %4 = arith.subf %0, %3 : f64
      affine.store %4, %x[%i] : memref<8xf64>
    }
    %5 = affine.load %x[%i] : memref<8xf64>
    %6 = affine.load %L[%i, %i] : memref<8x8xf64>
    %7 = arith.divf %5, %6 : f64
    affine.store %7, %x[%i] : memref<8xf64>
  }
  func.return
}

// CHECK:      "poly.scop"() <{sym_name = "forward", roles = ["in", "inout", "in"]
// CHECK:      "poly.statement"(%x, %x, %L, %y) <{sym_name = "S0", domain = "{ [i0, i1] : i0 <= 7 and 0 <= i1 < i0 }"
// CHECK-SAME:   write = affine_map<(d0, d1) -> (d0)>
// CHECK-SAME:   reads = [affine_map<(d0, d1) -> (d0)>, affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d1)>]
// CHECK-SAME:   reduction = "add", position = array<i64: 0, 0, 0>
// CHECK:        arith.negf
// CHECK-NEXT:   arith.addf
// CHECK:      "poly.statement"(%x, %x, %L) <{sym_name = "S1"
// CHECK-SAME:   position = array<i64: 0, 1>

// -----

// Both branches of an affine.if, the second one over the complement.
func.func @diagonal(%A: memref<4x6xf32>, %v: f32) {
  %zero = arith.constant 0.0 : f32
  affine.for %i = 0 to 4 {
    affine.for %j = 0 to 6 {
      affine.if affine_set<(d0, d1) : (d1 - d0 >= 0, d0 - d1 + 1 >= 0)>(%i, %j) {
        affine.store %v, %A[%i, %j] : memref<4x6xf32>
      } else {
        affine.store %zero, %A[%i, %j] : memref<4x6xf32>
      }
    }
  }
  func.return
}

// CHECK:      "poly.scop"() <{sym_name = "diagonal", roles = ["out", "in"]
// CHECK-NEXT: ^{{.*}}(%A: memref<4x6xf32>, %v: memref<f32>):
// CHECK:      domain = "{ [i0, i1] : 0 <= i0 <= 3 and i0 <= i1 <= 1 + i0 }"
// CHECK-SAME:   position = array<i64: 0, 0, 0>
// CHECK:      domain = "{ [i0, i1] : (i0 <= 3 and 0 <= i1 < i0) or (i0 >= 0 and 2 + i0 <= i1 <= 5) }"
// CHECK-SAME:   position = array<i64: 0, 0, 1>

// -----

// Separate nests need no positions.
func.func @sequence(%x: memref<5xf32>, %y: memref<5xf32>) {
  affine.for %i = 0 to 5 {
    %0 = affine.load %x[%i] : memref<5xf32>
    affine.store %0, %y[%i] : memref<5xf32>
  }
  affine.for %i = 1 to 5 step 2 {
    %0 = affine.load %y[%i - 1] : memref<5xf32>
    affine.store %0, %x[%i] : memref<5xf32>
  }
  func.return
}

// CHECK:      "poly.scop"() <{sym_name = "sequence", roles = ["inout", "inout"]
// CHECK:      domain = "{ [i0] : 0 <= i0 <= 4 }"
// CHECK-NOT:  position
// CHECK:      domain = "{ [i0] : 0 <= i0 <= 1 }", write = affine_map<(d0) -> (((d0 * 2) + 1))>, reads = [affine_map<(d0) -> ((d0 * 2))>]
// CHECK-NOT:  position

// -----

// Nothing else than affine functions becomes a scop.
// CHECK:      builtin.module
// CHECK-NEXT: }
builtin.module {
}
