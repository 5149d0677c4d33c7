// RUN: tilecast-opt %s --split-input-file -p extract-affine

// EXPECT-ERROR: must be affine in the enclosing loops
func.func @indirect(%n: memref<4xindex>, %x: memref<4xf32>) {
  affine.for %i = 0 to 4 {
    %k = affine.load %n[%i] : memref<4xindex>
    %0 = affine.load %x[%k] : memref<4xf32>
    affine.store %0, %x[%i] : memref<4xf32>
  }
  func.return
}

// -----

// EXPECT-ERROR: A[8] is written, the array is memref<8xf32>
func.func @outside(%A: memref<8xf32>, %v: f32) {
  affine.for %i = 0 to 8 {
    affine.store %v, %A[%i + 1] : memref<8xf32>
  }
  func.return
}

// -----

// EXPECT-ERROR: write them to an array argument
func.func @returns(%A: memref<8xf32>) -> f32 {
  %0 = arith.constant 1.0 : f32
  func.return %0 : f32
}

// -----

// EXPECT-ERROR: A[-1] is written, the array is memref<?xf32>
func.func @only_small_sizes(%A: memref<?xf32>, %v: f32) {
  %0 = arith.constant 0 : index
  %n = memref.dim %A, %0 : memref<?xf32>
  affine.for %i = 0 to %n {
    affine.store %v, %A[%i - 1] : memref<?xf32>
  }
  func.return
}

// -----

// EXPECT-ERROR: the shape of a local depends on a loop
func.func @growing(%A: memref<4xf32>) {
  affine.for %i = 0 to 4 {
    %t = memref.alloc(%i) : memref<?xf32>
  }
  func.return
}

// -----

// EXPECT-ERROR: expected 1 symbols
func.func @wrong_extents(%n: index,
    %A: memref<?xf32> {tilecast.extents = affine_map<() -> (3)>}) {
  func.return
}

// -----

// EXPECT-ERROR: no rule for scf.for
func.func @other(%A: memref<8xf32>, %v: f32) {
  %0 = arith.constant 0 : index
  %1 = arith.constant 8 : index
  %2 = arith.constant 1 : index
  scf.for %i = %0 to %1 step %2 {
    scf.yield
  }
  func.return
}

// -----

// EXPECT-ERROR: iter_args has no rule
func.func @carried(%A: memref<8xf32>, %v: f32) {
  %0 = affine.for %i = 0 to 8 iter_args(%a = %v) -> (f32) {
    affine.yield %a : f32
  }
  func.return
}

// -----

// EXPECT-ERROR: affine.load expects 2 subscripts of a memref<4x5xf64>, found 1
func.func @too_few_subscripts(%A: memref<4x5xf64>) {
  affine.for %i = 0 to 4 {
    %0 = affine.load %A[%i] : memref<4x5xf64>
    affine.store %0, %A[%i, %i] : memref<4x5xf64>
  }
  func.return
}

// -----

// EXPECT-ERROR: affine.store: the map (d0, d1) -> (d0, d1) takes 2 indices, found 1
func.func @too_few_values(%A: memref<4x5xf64>, %v: f64) {
  affine.for %i = 0 to 4 {
    "affine.store"(%v, %A, %i) {map = affine_map<(d0, d1) -> (d0, d1)>} : (f64, memref<4x5xf64>, index) -> ()
  }
  func.return
}

// -----

// EXPECT-ERROR: expects an array and the constant number of a dimension, found 1 of 1
func.func @no_such_dimension(%A: memref<?xf32>, %v: f32) {
  %1 = arith.constant 1 : index
  %n = memref.dim %A, %1 : memref<?xf32>
  affine.for %i = 0 to %n {
    affine.store %v, %A[%i] : memref<?xf32>
  }
  func.return
}
