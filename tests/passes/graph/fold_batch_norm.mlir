// RUN: tilecast-opt %s -p fold-batch-norm --split-input-file | filecheck %s

// Folding needs stored weights, which text does not carry (test_fold_batch_norm.py has those cases).

// CHECK-LABEL: @layers_whose_weights_are_arguments_stay
// CHECK: "graph.conv"
// CHECK-NEXT: "graph.pointwise"(%{{.*}}, %s) <{fn = "mul"}>
func.func @layers_whose_weights_are_arguments_stay(%x: tensor<1x2x4x4xf32>, %w: tensor<3x2x1x1xf32>, %s: tensor<3x1x1xf32>) -> tensor<1x3x4x4xf32> {
  %0 = "graph.conv"(%x, %w) <{stride = [#builtin.int<1>, #builtin.int<1>], padding = [#builtin.int<0>, #builtin.int<0>], dilation = [#builtin.int<1>, #builtin.int<1>], groups = #builtin.int<1>}> : (tensor<1x2x4x4xf32>, tensor<3x2x1x1xf32>) -> tensor<1x3x4x4xf32>
  %1 = "graph.pointwise"(%0, %s) <{fn = "mul"}> : (tensor<1x3x4x4xf32>, tensor<3x1x1xf32>) -> tensor<1x3x4x4xf32>
  func.return %1 : tensor<1x3x4x4xf32>
}

// -----

// CHECK-LABEL: @weights_without_data_stay
// CHECK: "graph.linear"
// CHECK-NEXT: "graph.pointwise"
func.func @weights_without_data_stay(%x: tensor<2x3xf32>) -> tensor<2x4xf32> {
  %w = "graph.weight"() <{symbol = @w}> : () -> tensor<4x3xf32>
  %s = "graph.full"() <{value = 2.0 : f64}> : () -> tensor<f32>
  %0 = "graph.linear"(%x, %w) : (tensor<2x3xf32>, tensor<4x3xf32>) -> tensor<2x4xf32>
  %1 = "graph.pointwise"(%0, %s) <{fn = "mul"}> : (tensor<2x4xf32>, tensor<f32>) -> tensor<2x4xf32>
  func.return %1 : tensor<2x4xf32>
}
