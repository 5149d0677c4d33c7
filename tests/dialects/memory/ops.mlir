// RUN: tilecast-opt %s | filecheck %s

// CHECK: func.func @ops
func.func @ops(%x: memref<4xf32>, %y: memref<4xf32>) {
  // CHECK-NEXT: %c = "memory.apart"(%x, %y) : (memref<4xf32>, memref<4xf32>) -> i1
  %c = "memory.apart"(%x, %y) : (memref<4xf32>, memref<4xf32>) -> i1
  func.return
}
