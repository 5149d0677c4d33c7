// RUN: tilecast-opt %s -p inline-parts | filecheck %s

// The part's loops stand in the kernel; its scratch array is one of the kernel, under the part's shape.
// CHECK-LABEL: func.func @k(%x: memref<2x4xf32>, %out: memref<2x4xf32>, %s: memref<8xf32>)
// CHECK-SAME: tilecast.roles = ["in", "out", "scratch"]
// CHECK-NOT: tile.part
// CHECK: memref.reinterpret_cast %x
// CHECK: memref.load
// CHECK: memref.store %{{.*}}, %s
// CHECK-NOT: @k_part
func.func @k(%x: memref<2x4xf32>, %out: memref<2x4xf32>) attributes {"tilecast.roles" = ["in", "out"]} {
  "tile.part"(%x, %out) <{part = "k_part"}> : (memref<2x4xf32>, memref<2x4xf32>) -> ()
  func.return
}
func.func @k_part(%x: memref<8xf32>, %out: memref<2x4xf32>, %s: memref<8xf32>) attributes {"tilecast.roles" = ["in", "out", "scratch"], "tilecast.part_of" = "k"} {
  %0 = arith.constant 0 : index
  %1 = memref.load %x[%0] : memref<8xf32>
  memref.store %1, %s[%0] : memref<8xf32>
  memref.store %1, %out[%0, %0] : memref<2x4xf32>
  func.return
}
