// RUN: tilecast-opt %s -p split-buffers --split-input-file | filecheck %s

// An accumulator that moves with an outer loop has a buffer of its own there.
func.func @rows(%x: memref<4x8xf32>, %y: memref<4xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %c8 = arith.constant 8 : index
  %zero = arith.constant 0.0 : f32
  %t = memref.alloca() : memref<4xf32>
  scf.for %i = %c0 to %c4 step %c1 {
    memref.store %zero, %t[%i] : memref<4xf32>
    scf.for %k = %c0 to %c8 step %c1 {
      %a = memref.load %t[%i] : memref<4xf32>
      %b = memref.load %x[%i, %k] : memref<4x8xf32>
      %s = arith.addf %a, %b : f32
      memref.store %s, %t[%i] : memref<4xf32>
    }
  }
  scf.for %i = %c0 to %c4 step %c1 {
    %r = memref.load %t[%i] : memref<4xf32>
    memref.store %r, %y[%i] : memref<4xf32>
  }
  func.return
}

// CHECK-LABEL: @rows
// CHECK:       %t = memref.alloca() : memref<4xf32>
// CHECK-NEXT:  scf.for %i =
// CHECK-NEXT:    %[[OWN:.*]] = memref.alloca() : memref<1xf32>
// CHECK-NEXT:    %[[AT:.*]] = arith.constant 0 : index
// CHECK-NEXT:    memref.store %zero, %[[OWN]][%[[AT]]] : memref<1xf32>
// CHECK-NEXT:    scf.for %k =
// CHECK-NEXT:      memref.load %[[OWN]][%[[AT]]]
// CHECK:           memref.store %s, %[[OWN]][%[[AT]]]
// CHECK-NEXT:    }
// CHECK-NEXT:    %[[SUM:.*]] = memref.load %[[OWN]][%[[AT]]]
// CHECK-NEXT:    memref.store %[[SUM]], %t[%i] : memref<4xf32>

// -----

// Elements that may be the same, and those that a loop moves, stay where they are.
func.func @apart(%n: index, %x: memref<4x8xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  %t = memref.alloca() : memref<8xf32>
  scf.for %i = %c0 to %c8 step %c1 {
    %b = memref.load %x[%c0, %i] : memref<4x8xf32>
    memref.store %b, %t[%i] : memref<8xf32>
    memref.store %b, %t[%n] : memref<8xf32>
    memref.store %b, %t[%i] : memref<8xf32>
  }
  func.return
}

// CHECK-LABEL: @apart
// CHECK:       %t = memref.alloca() : memref<8xf32>
// CHECK-NOT:   memref.alloca
