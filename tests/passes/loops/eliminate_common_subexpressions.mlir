// RUN: tilecast-opt %s -p eliminate-common-subexpressions --split-input-file | filecheck %s

// Equal values are computed once, and a load is good until the next store to its array.
func.func @k(%x: memref<8xf32>, %y: memref<8xf32>) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0 : index
  %a = memref.load %x[%c0] : memref<8xf32>
  %b = memref.load %x[%zero] : memref<8xf32>
  %s = arith.addf %a, %b : f32
  memref.store %s, %x[%c0] : memref<8xf32>
  %c = memref.load %x[%c0] : memref<8xf32>
  memref.store %c, %y[%c0] : memref<8xf32>
  func.return
}

// CHECK:      func.func @k(%x: memref<8xf32>, %y: memref<8xf32>) {
// CHECK-NEXT:   %c0 = arith.constant 0 : index
// CHECK-NEXT:   %a = memref.load %x[%c0] : memref<8xf32>
// CHECK-NEXT:   %s = arith.addf %a, %a : f32
// CHECK-NEXT:   memref.store %s, %x[%c0] : memref<8xf32>
// CHECK-NEXT:   memref.store %s, %y[%c0] : memref<8xf32>
// CHECK-NEXT:   func.return
// CHECK-NEXT: }

// -----

// Nothing is computed twice: nothing changes.
func.func @k(%x: memref<8xf32>, %y: memref<8xf32>) {
  %c0 = arith.constant 0 : index
  %a = memref.load %x[%c0] : memref<8xf32>
  %b = arith.mulf %a, %a : f32
  memref.store %b, %y[%c0] : memref<8xf32>
  func.return
}

// CHECK:      func.func @k(%x: memref<8xf32>, %y: memref<8xf32>) {
// CHECK-NEXT:   %c0 = arith.constant 0 : index
// CHECK-NEXT:   %a = memref.load %x[%c0] : memref<8xf32>
// CHECK-NEXT:   %b = arith.mulf %a, %a : f32
// CHECK-NEXT:   memref.store %b, %y[%c0] : memref<8xf32>
// CHECK-NEXT:   func.return
// CHECK-NEXT: }

// -----

// What a vector stored is not loaded again, until another store to the array.
func.func @k(%x: memref<16xf32>, %v: vector<8xf32>) {
  %c0 = arith.constant 0 : index
  %c8 = arith.constant 8 : index
  vector.store %v, %x[%c0] : memref<16xf32>, vector<8xf32>
  %a = vector.load %x[%c0] : memref<16xf32>, vector<8xf32>
  vector.store %a, %x[%c8] : memref<16xf32>, vector<8xf32>
  %b = vector.load %x[%c0] : memref<16xf32>, vector<8xf32>
  vector.store %b, %x[%c8] : memref<16xf32>, vector<8xf32>
  func.return
}

// CHECK:        vector.store %v, %x[%c0] : memref<16xf32>, vector<8xf32>
// CHECK-NEXT:   vector.store %v, %x[%c8] : memref<16xf32>, vector<8xf32>
// CHECK-NEXT:   %b = vector.load %x[%c0] : memref<16xf32>, vector<8xf32>
// CHECK-NEXT:   vector.store %b, %x[%c8] : memref<16xf32>, vector<8xf32>
// CHECK-NEXT:   func.return
