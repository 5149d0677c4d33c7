// RUN: tilecast-opt %s

// EXPECT-ERROR: no scalar function 'frobnicate'
func.func @unknown_function(%x: tensor<2xf32>) -> tensor<2xf32> {
  %0 = "graph.pointwise"(%x) <{fn = "frobnicate"}> : (tensor<2xf32>) -> tensor<2xf32>
  func.return %0 : tensor<2xf32>
}

// -----

// EXPECT-ERROR: expected 2 operands, got 1
func.func @arity(%x: tensor<2xf32>) -> tensor<2xf32> {
  %0 = "graph.pointwise"(%x) <{fn = "add"}> : (tensor<2xf32>) -> tensor<2xf32>
  func.return %0 : tensor<2xf32>
}

// -----

// EXPECT-ERROR: operand types differ
func.func @mixed_types(%x: tensor<2xf32>, %y: tensor<2xf64>) -> tensor<2xf32> {
  %0 = "graph.pointwise"(%x, %y) <{fn = "add"}> : (tensor<2xf32>, tensor<2xf64>) -> tensor<2xf32>
  func.return %0 : tensor<2xf32>
}

// -----

// EXPECT-ERROR: expected element type i1, got f32
func.func @comparison_gives_booleans(%x: tensor<2xf32>) -> tensor<2xf32> {
  %0 = "graph.pointwise"(%x, %x) <{fn = "lt"}> : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xf32>
  func.return %0 : tensor<2xf32>
}

// -----

// EXPECT-ERROR: do not broadcast
func.func @shapes_that_do_not_fit(%x: tensor<2xf32>, %y: tensor<3xf32>) -> tensor<3xf32> {
  %0 = "graph.pointwise"(%x, %y) <{fn = "add"}> : (tensor<2xf32>, tensor<3xf32>) -> tensor<3xf32>
  func.return %0 : tensor<3xf32>
}

// -----

// EXPECT-ERROR: operands and attributes imply shape (2, 4), the result has (2, 5)
func.func @linear_shape(%x: tensor<2x3xf32>, %w: tensor<4x3xf32>) -> tensor<2x5xf32> {
  %0 = "graph.linear"(%x, %w) : (tensor<2x3xf32>, tensor<4x3xf32>) -> tensor<2x5xf32>
  func.return %0 : tensor<2x5xf32>
}

// -----

// EXPECT-ERROR: does not take rank 3 to rank 2
func.func @view_rank(%x: tensor<2x3xf32>) -> tensor<2x3x1xf32> {
  %0 = "graph.view"(%x) <{map = affine_map<(d0, d1) -> (d0, d1)>}> : (tensor<2x3xf32>) -> tensor<2x3x1xf32>
  func.return %0 : tensor<2x3x1xf32>
}

// -----

// EXPECT-ERROR: 6 elements do not fill 8
func.func @reshape_size(%x: tensor<2x3xf32>) -> tensor<8xf32> {
  %0 = "graph.reshape"(%x) : (tensor<2x3xf32>) -> tensor<8xf32>
  func.return %0 : tensor<8xf32>
}

// -----

// EXPECT-ERROR: imply shape (2,), the result has (3,)
func.func @reduced_shape(%x: tensor<2x3xf32>) -> tensor<3xf32> {
  %0 = "graph.reduce"(%x) <{fn = "sum", dims = [#builtin.int<1>]}> : (tensor<2x3xf32>) -> tensor<3xf32>
  func.return %0 : tensor<3xf32>
}

// -----

// EXPECT-ERROR: 4*batch[1..8] elements do not fill 4*seq[1..8]
func.func @other_size(%x: tensor<8x4xf32, #graph.sizes<["batch[1..8]", "4"]>>) -> tensor<32xf32, #graph.sizes<["4*seq[1..8]"]>> {
  %0 = "graph.reshape"(%x) : (tensor<8x4xf32, #graph.sizes<["batch[1..8]", "4"]>>) -> tensor<32xf32, #graph.sizes<["4*seq[1..8]"]>>
  func.return %0 : tensor<32xf32, #graph.sizes<["4*seq[1..8]"]>>
}

// -----

// EXPECT-ERROR: graph.cond: the condition has to be tensor<i1>, found tensor<1xi1>
func.func @f(%p: tensor<1xi1>) -> tensor<1xi1> {
  %0 = "graph.cond"(%p, %p) <{then_branch = @f, else_branch = @f}> : (tensor<1xi1>, tensor<1xi1>) -> tensor<1xi1>
  func.return %0 : tensor<1xi1>
}

// -----

// EXPECT-ERROR: graph.while: carried values have to keep their types
func.func @f(%n: tensor<i64>) -> tensor<i32> {
  %0 = "graph.while"(%n) <{condition = @f, body = @f, operandSegmentSizes = array<i32: 1, 0>}> : (tensor<i64>) -> tensor<i32>
  func.return %0 : tensor<i32>
}

// -----

// EXPECT-ERROR: graph.for: expected 3 slices, found tensor<4xf32>
func.func @f(%x: tensor<4xf32>) -> tensor<3xf32> {
  %0 = "graph.for"(%x) <{body = @f, count = #builtin.int<3>, operandSegmentSizes = array<i32: 0, 1, 0>, resultSegmentSizes = array<i32: 0, 1>}> : (tensor<4xf32>) -> tensor<3xf32>
  func.return %0 : tensor<3xf32>
}
