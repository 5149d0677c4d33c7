// RUN: tilecast-opt %s | filecheck %s

// CHECK: func.func @ops
func.func @ops(%x: memref<4x8xbf16>, %l: vector<16xbf16>, %a: i32, %s: f32, %v: vector<16xf32>) {
  // CHECK-NEXT: %w = "pair.words"(%x) : (memref<4x8xbf16>) -> memref<2x8xi32>
  %w = "pair.words"(%x) : (memref<4x8xbf16>) -> memref<2x8xi32>
  // CHECK-NEXT: %p = "pair.join"(%l, %l) : (vector<16xbf16>, vector<16xbf16>) -> vector<16xi32>
  %p = "pair.join"(%l, %l) : (vector<16xbf16>, vector<16xbf16>) -> vector<16xi32>
  // CHECK-NEXT: %d = "pair.dot"(%a, %a) : (i32, i32) -> f32
  %d = "pair.dot"(%a, %a) : (i32, i32) -> f32
  // CHECK-NEXT: %e = "pair.dot_add"(%p, %p, %v) : (vector<16xi32>, vector<16xi32>, vector<16xf32>) -> vector<16xf32>
  %e = "pair.dot_add"(%p, %p, %v) : (vector<16xi32>, vector<16xi32>, vector<16xf32>) -> vector<16xf32>
  // CHECK-NEXT: %n = "pair.narrow"(%v) : (vector<16xf32>) -> vector<16xbf16>
  %n = "pair.narrow"(%v) : (vector<16xf32>) -> vector<16xbf16>
  func.return
}
