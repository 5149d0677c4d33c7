// RUN: tilecast-opt %s -p promote-buffers --split-input-file | filecheck %s

// An accumulator becomes an iteration argument.
func.func @k(%x: memref<8xf32>, %y: memref<8xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  %zero = arith.constant 0.0 : f32
  %t = memref.alloca() : memref<1xf32>
  memref.store %zero, %t[%c0] : memref<1xf32>
  scf.for %i = %c0 to %c8 step %c1 {
    %a = memref.load %t[%c0] : memref<1xf32>
    %b = memref.load %x[%i] : memref<8xf32>
    %s = arith.addf %a, %b : f32
    memref.store %s, %t[%c0] : memref<1xf32>
  }
  %r = memref.load %t[%c0] : memref<1xf32>
  memref.store %r, %y[%c0] : memref<8xf32>
  func.return
}

// CHECK:      func.func @k(%x: memref<8xf32>, %y: memref<8xf32>) {
// CHECK-NEXT:   %c0 = arith.constant 0 : index
// CHECK-NEXT:   %c1 = arith.constant 1 : index
// CHECK-NEXT:   %c8 = arith.constant 8 : index
// CHECK-NEXT:   %zero = arith.constant 0.000000e+00 : f32
// CHECK-NEXT:   %r = scf.for %i = %c0 to %c8 step %c1 iter_args(%a = %zero) -> (f32) {
// CHECK-NEXT:     %b = memref.load %x[%i] : memref<8xf32>
// CHECK-NEXT:     %s = arith.addf %a, %b : f32
// CHECK-NEXT:     scf.yield %s : f32
// CHECK-NEXT:   }
// CHECK-NEXT:   memref.store %r, %y[%c0] : memref<8xf32>
// CHECK-NEXT:   func.return
// CHECK-NEXT: }

// -----

// What a branch stores is its result.
func.func @k(%x: memref<8xf32>, %y: memref<8xf32>, %large: memref<1xi1>) {
  %c0 = arith.constant 0 : index
  %a = memref.load %x[%c0] : memref<8xf32>
  %c = memref.load %large[%c0] : memref<1xi1>
  %t = memref.alloca() : memref<1xf32>
  memref.store %a, %t[%c0] : memref<1xf32>
  scf.if %c {
    %b = arith.addf %a, %a : f32
    memref.store %b, %t[%c0] : memref<1xf32>
  }
  %r = memref.load %t[%c0] : memref<1xf32>
  memref.store %r, %y[%c0] : memref<8xf32>
  func.return
}

// CHECK:      func.func @k(%x: memref<8xf32>, %y: memref<8xf32>, %large: memref<1xi1>) {
// CHECK-NEXT:   %c0 = arith.constant 0 : index
// CHECK-NEXT:   %a = memref.load %x[%c0] : memref<8xf32>
// CHECK-NEXT:   %c = memref.load %large[%c0] : memref<1xi1>
// CHECK-NEXT:   %r = scf.if %c -> (f32) {
// CHECK-NEXT:     %b = arith.addf %a, %a : f32
// CHECK-NEXT:     scf.yield %b : f32
// CHECK-NEXT:   } else {
// CHECK-NEXT:     scf.yield %a : f32
// CHECK-NEXT:   }
// CHECK-NEXT:   memref.store %r, %y[%c0] : memref<8xf32>
// CHECK-NEXT:   func.return
// CHECK-NEXT: }

// -----

// A position that is not constant keeps the buffer: nothing changes.
func.func @k(%x: memref<8xf32>, %n: memref<1xindex>) {
  %c0 = arith.constant 0 : index
  %i = memref.load %n[%c0] : memref<1xindex>
  %t = memref.alloca() : memref<8xf32>
  %a = memref.load %x[%i] : memref<8xf32>
  memref.store %a, %t[%i] : memref<8xf32>
  func.return
}

// CHECK:      func.func @k(%x: memref<8xf32>, %n: memref<1xindex>) {
// CHECK-NEXT:   %c0 = arith.constant 0 : index
// CHECK-NEXT:   %i = memref.load %n[%c0] : memref<1xindex>
// CHECK-NEXT:   %t = memref.alloca() : memref<8xf32>
// CHECK-NEXT:   %a = memref.load %x[%i] : memref<8xf32>
// CHECK-NEXT:   memref.store %a, %t[%i] : memref<8xf32>
// CHECK-NEXT:   func.return
// CHECK-NEXT: }
