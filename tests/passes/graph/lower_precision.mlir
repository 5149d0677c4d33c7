// RUN: tilecast-opt %s -p lower-precision{precision=bf16} --split-input-file | filecheck %s

// Rounding weights needs their data, which text does not carry (tests/e2e/test_precision.py).

// CHECK-LABEL: @operands_are_rounded_ahead_of_views_and_sums_stay
// CHECK-NEXT: %[[H:.*]] = "graph.cast"(%x) : (tensor<2x8x4xf32>) -> tensor<2x8x4xbf16>
// CHECK: %[[W:.*]] = "graph.cast"(%w) : (tensor<6x4xf32>) -> tensor<6x4xbf16>
// CHECK: %[[R:.*]] = "graph.reshape"(%[[H]]) : (tensor<2x8x4xbf16>) -> tensor<16x4xbf16>
// CHECK: "graph.linear"(%[[R]], %[[W]], %b) : (tensor<16x4xbf16>, tensor<6x4xbf16>, tensor<6xf32>) -> tensor<16x6xf32>
func.func @operands_are_rounded_ahead_of_views_and_sums_stay(%x: tensor<2x8x4xf32>, %b: tensor<6xf32>) -> tensor<16x6xf32> {
  %w = "graph.weight"() <{symbol = @w}> : () -> tensor<6x4xf32>
  %r = "graph.reshape"(%x) : (tensor<2x8x4xf32>) -> tensor<16x4xf32>
  %0 = "graph.linear"(%r, %w, %b) : (tensor<16x4xf32>, tensor<6x4xf32>, tensor<6xf32>) -> tensor<16x6xf32>
  func.return %0 : tensor<16x6xf32>
}

// -----

// CHECK-LABEL: @a_value_is_rounded_once
// CHECK-COUNT-1: graph.cast
// CHECK-NOT: graph.cast
func.func @a_value_is_rounded_once(%x: tensor<4x4xf32>) -> tensor<4x4xf32> {
  %0 = "graph.matmul"(%x, %x) : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
  func.return %0 : tensor<4x4xf32>
}

// -----

// CHECK-LABEL: @odd_sums_and_other_types_stay
// CHECK-NOT: graph.cast
func.func @odd_sums_and_other_types_stay(%x: tensor<4x3xf32>, %y: tensor<3x4xf32>, %z: tensor<4x4xf64>) -> (tensor<4x4xf32>, tensor<4x4xf64>) {
  %0 = "graph.matmul"(%x, %y) : (tensor<4x3xf32>, tensor<3x4xf32>) -> tensor<4x4xf32>
  %1 = "graph.matmul"(%z, %z) : (tensor<4x4xf64>, tensor<4x4xf64>) -> tensor<4x4xf64>
  func.return %0, %1 : tensor<4x4xf32>, tensor<4x4xf64>
}
