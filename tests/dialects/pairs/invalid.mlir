// RUN: tilecast-opt %s

// EXPECT-ERROR: pair.join: expected two bf16, or two vectors of them
func.func @f(%a: f32) {
  %p = "pair.join"(%a, %a) : (f32, f32) -> i32
  func.return
}

// -----

// EXPECT-ERROR: pair.dot: expected one f32 per pair
func.func @f(%a: i32) {
  %p = "pair.dot"(%a, %a) : (i32, i32) -> f64
  func.return
}

// -----

// EXPECT-ERROR: pair.dot: expected pairs as i32, of one type
func.func @f(%a: i32, %b: i64) {
  %p = "pair.dot"(%a, %b) : (i32, i64) -> f32
  func.return
}

// -----

// EXPECT-ERROR: pair.words: memref<4xbf16> and memref<4xi32> differ in size
func.func @f(%x: memref<4xbf16>) {
  %w = "pair.words"(%x) : (memref<4xbf16>) -> memref<4xi32>
  func.return
}

// -----

// EXPECT-ERROR: pair.narrow: expected a vector of f32, and one of bf16 like it
func.func @f(%x: vector<16xf32>) {
  %n = "pair.narrow"(%x) : (vector<16xf32>) -> vector<8xbf16>
  func.return
}
