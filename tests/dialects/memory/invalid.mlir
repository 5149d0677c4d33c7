// RUN: tilecast-opt %s

// EXPECT-ERROR: memory.apart: expected arrays of one type, got memref<4xf32> and memref<4xi32>
func.func @f(%x: memref<4xf32>, %y: memref<4xi32>) {
  %c = "memory.apart"(%x, %y) : (memref<4xf32>, memref<4xi32>) -> i1
  func.return
}
