// RUN: tilecast-opt %s -p canonicalize --split-input-file | filecheck %s

// CHECK-LABEL: @opposite_views_vanish
// CHECK-NEXT: "graph.pointwise"(%x) <{fn = "exp"}>
func.func @opposite_views_vanish(%x: tensor<2x3xf32>) -> tensor<2x3xf32> {
  %0 = "graph.view"(%x) <{map = affine_map<(d0, d1) -> (d1, d0)>}> : (tensor<2x3xf32>) -> tensor<3x2xf32>
  %1 = "graph.view"(%0) <{map = affine_map<(d0, d1) -> (d1, d0)>}> : (tensor<3x2xf32>) -> tensor<2x3xf32>
  %2 = "graph.pointwise"(%1) <{fn = "exp"}> : (tensor<2x3xf32>) -> tensor<2x3xf32>
  func.return %2 : tensor<2x3xf32>
}

// -----

// CHECK-LABEL: @views_compose
// CHECK-NEXT: "graph.view"(%x) <{map = affine_map<(d0, d1) -> (d1, {{.*}})>}> : (tensor<8x6xf32>) -> tensor<2x8xf32>
// CHECK-NEXT: func.return
func.func @views_compose(%x: tensor<8x6xf32>) -> tensor<2x8xf32> {
  %0 = "graph.view"(%x) <{map = affine_map<(d0, d1) -> (d0, d1 + 2)>}> : (tensor<8x6xf32>) -> tensor<8x4xf32>
  %1 = "graph.view"(%0) <{map = affine_map<(d0, d1) -> (d1, d0 * 2)>}> : (tensor<8x4xf32>) -> tensor<2x8xf32>
  func.return %1 : tensor<2x8xf32>
}

// -----

// CHECK-LABEL: @splitting_heads_is_one_view
// CHECK-NEXT: "graph.view"(%x) <{map = affine_map<(d0, d1, d2) -> (d1, ((d0 * 4) + d2))>}>
// CHECK-NEXT: func.return
func.func @splitting_heads_is_one_view(%x: tensor<5x8xf32>) -> tensor<2x5x4xf32> {
  %0 = "graph.reshape"(%x) : (tensor<5x8xf32>) -> tensor<5x2x4xf32>
  %1 = "graph.view"(%0) <{map = affine_map<(d0, d1, d2) -> (d1, d0, d2)>}> : (tensor<5x2x4xf32>) -> tensor<2x5x4xf32>
  func.return %1 : tensor<2x5x4xf32>
}

// -----

// CHECK-LABEL: @unit_permutation_is_a_reshape
// CHECK-NEXT: "graph.reshape"(%x) : (tensor<1x3xf32>) -> tensor<3x1xf32>
func.func @unit_permutation_is_a_reshape(%x: tensor<1x3xf32>) -> tensor<3x1xf32> {
  %0 = "graph.view"(%x) <{map = affine_map<(d0, d1) -> (d1, d0)>}> : (tensor<1x3xf32>) -> tensor<3x1xf32>
  func.return %0 : tensor<3x1xf32>
}

// -----

// CHECK-LABEL: @layers_work_on_rows
// CHECK-NEXT: %[[ROWS:.*]] = "graph.reshape"(%x) : (tensor<2x3x4xf32>) -> tensor<6x4xf32>
// CHECK-NEXT: %[[Y:.*]] = "graph.linear"(%[[ROWS]], %w, %b) {{.*}} -> tensor<6x4xf32>
// CHECK-NEXT: %[[SUM:.*]] = "graph.pointwise"(%[[Y]], %[[ROWS]]) <{fn = "add"}>
// CHECK-NEXT: %[[BACK:.*]] = "graph.reshape"(%[[SUM]]) : (tensor<6x4xf32>) -> tensor<2x3x4xf32>
// CHECK-NEXT: func.return %[[BACK]]
func.func @layers_work_on_rows(%x: tensor<2x3x4xf32>, %w: tensor<4x4xf32>, %b: tensor<4xf32>) -> tensor<2x3x4xf32> {
  %0 = "graph.linear"(%x, %w, %b) : (tensor<2x3x4xf32>, tensor<4x4xf32>, tensor<4xf32>) -> tensor<2x3x4xf32>
  %1 = "graph.pointwise"(%0, %x) <{fn = "add"}> : (tensor<2x3x4xf32>, tensor<2x3x4xf32>) -> tensor<2x3x4xf32>
  func.return %1 : tensor<2x3x4xf32>
}

// -----

// CHECK-LABEL: @multiplication_by_one_vanishes
// CHECK-NEXT: func.return %x
func.func @multiplication_by_one_vanishes(%x: tensor<3xf32>) -> tensor<3xf32> {
  %0 = "graph.full"() <{value = 1.0 : f64}> : () -> tensor<3xf32>
  %1 = "graph.pointwise"(%x, %0) <{fn = "mul"}> : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>
  func.return %1 : tensor<3xf32>
}

// -----

// CHECK-LABEL: @adding_zero_changes_minus_zero_and_stays
// CHECK: "graph.pointwise"(%x, %{{.*}}) <{fn = "add"}> : (tensor<3xf32>, tensor<f32>)
func.func @adding_zero_changes_minus_zero_and_stays(%x: tensor<3xf32>) -> tensor<3xf32> {
  %0 = "graph.full"() <{value = 0.0 : f64}> : () -> tensor<3xf32>
  %1 = "graph.pointwise"(%x, %0) <{fn = "add"}> : (tensor<3xf32>, tensor<3xf32>) -> tensor<3xf32>
  func.return %1 : tensor<3xf32>
}

// -----

// CHECK-LABEL: @nothing_to_do
// CHECK-NEXT: %0 = "graph.reduce"(%x) <{fn = "sum", dims = [#builtin.int<1>]}>
// CHECK-NEXT: %1 = "graph.pointwise"(%0) <{fn = "sqrt"}>
// CHECK-NEXT: func.return %1
func.func @nothing_to_do(%x: tensor<2x3xf32>) -> tensor<2xf32> {
  %0 = "graph.reduce"(%x) <{fn = "sum", dims = [#builtin.int<1>]}> : (tensor<2x3xf32>) -> tensor<2xf32>
  %1 = "graph.pointwise"(%0) <{fn = "sqrt"}> : (tensor<2xf32>) -> tensor<2xf32>
  func.return %1 : tensor<2xf32>
}
