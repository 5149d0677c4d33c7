// RUN: tilecast-opt %s

// EXPECT-ERROR: 10 of 9 elements
func.func @too_many(%x: tensor<4x9xf32>) -> tensor<4x10xi64> {
  %0 = "graph.argsort"(%x) <{dim = #builtin.int<1>, descending = true, count = #builtin.int<10>}> : (tensor<4x9xf32>) -> tensor<4x10xi64>
  func.return %0 : tensor<4x10xi64>
}

// -----

// EXPECT-ERROR: dim 2 is outside rank 2
func.func @no_such_dim(%x: tensor<4x9xf32>) -> tensor<4x9xi64> {
  %0 = "graph.argsort"(%x) <{dim = #builtin.int<2>, descending = true, count = #builtin.int<9>}> : (tensor<4x9xf32>) -> tensor<4x9xi64>
  func.return %0 : tensor<4x9xi64>
}

// -----

// EXPECT-ERROR: positions are i64, not i32
func.func @narrow_positions(%x: tensor<9xf32>) -> tensor<9xi32> {
  %0 = "graph.argsort"(%x) <{dim = #builtin.int<0>, descending = true, count = #builtin.int<9>}> : (tensor<9xf32>) -> tensor<9xi32>
  func.return %0 : tensor<9xi32>
}

// -----

// EXPECT-ERROR: indices (3, 10) are larger than source (4, 9)
func.func @index_too_wide(%x: tensor<4x9xf32>, %i: tensor<3x10xi64>, %u: tensor<3x10xf32>) -> tensor<4x9xf32> {
  %0 = "graph.scatter"(%x, %u, %i) <{fn = "add", dim = #builtin.int<0>}> : (tensor<4x9xf32>, tensor<3x10xf32>, tensor<3x10xi64>) -> tensor<4x9xf32>
  func.return %0 : tensor<4x9xf32>
}

// -----

// EXPECT-ERROR: no function 'sub'
func.func @no_such_update(%x: tensor<4xf32>, %i: tensor<3xi64>, %u: tensor<3xf32>) -> tensor<4xf32> {
  %0 = "graph.scatter"(%x, %u, %i) <{fn = "sub", dim = #builtin.int<0>}> : (tensor<4xf32>, tensor<3xf32>, tensor<3xi64>) -> tensor<4xf32>
  func.return %0 : tensor<4xf32>
}

// -----

// EXPECT-ERROR: expected updates of shape (3, 9), got (3, 8)
func.func @updates_too_narrow(%x: tensor<4x9xf32>, %u: tensor<3x8xf32>, %i: tensor<3xi64>) -> tensor<4x9xf32> {
  %0 = "graph.index_put"(%x, %u, %i) <{fn = "set"}> : (tensor<4x9xf32>, tensor<3x8xf32>, tensor<3xi64>) -> tensor<4x9xf32>
  func.return %0 : tensor<4x9xf32>
}

// -----

// EXPECT-ERROR: an index has type f32
func.func @float_index(%x: tensor<4xf32>, %u: tensor<3xf32>) -> tensor<4xf32> {
  %0 = "graph.index_put"(%x, %u, %u) <{fn = "set"}> : (tensor<4xf32>, tensor<3xf32>, tensor<3xf32>) -> tensor<4xf32>
  func.return %0 : tensor<4xf32>
}

// -----

// EXPECT-ERROR: rows and values differ in element type
func.func @mixed_search(%r: tensor<4xf64>, %v: tensor<3xf32>) -> tensor<3xi64> {
  %0 = "graph.searchsorted"(%r, %v) <{right = false}> : (tensor<4xf64>, tensor<3xf32>) -> tensor<3xi64>
  func.return %0 : tensor<3xi64>
}

// -----

// EXPECT-ERROR: graph.scan: no function 'any'
func.func @no_such_scan(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = "graph.scan"(%x) <{fn = "any", dim = #builtin.int<0>}> : (tensor<4xf32>) -> tensor<4xf32>
  func.return %0 : tensor<4xf32>
}
