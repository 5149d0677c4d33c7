// RUN: tilecast-opt %s -p outline-control-flow --split-input-file | filecheck %s

// What is computed ahead of a control op is a part, as is what follows; layout ops and constants are
// repeated where they are read.
func.func @main(%x: tensor<2x3xf32>, %p: tensor<i1>) -> tensor<3x2xf32> {
  %w = "graph.weight"() <{symbol = @w}> : () -> tensor<2x3xf32>
  %0 = "graph.pointwise"(%x, %w) <{fn = "add"}> : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x3xf32>
  %t = "graph.view"(%0) <{map = affine_map<(d0, d1) -> (d1, d0)>}> : (tensor<2x3xf32>) -> tensor<3x2xf32>
  %1 = "graph.cond"(%p, %0) <{then_branch = @exp, else_branch = @exp}> : (tensor<i1>, tensor<2x3xf32>) -> tensor<3x2xf32>
  %2 = "graph.pointwise"(%1, %t) <{fn = "mul"}> : (tensor<3x2xf32>, tensor<3x2xf32>) -> tensor<3x2xf32>
  func.return %2 : tensor<3x2xf32>
}
func.func @exp(%x: tensor<2x3xf32>) -> tensor<3x2xf32> attributes {tilecast.program} {
  %0 = "graph.view"(%x) <{map = affine_map<(d0, d1) -> (d1, d0)>}> : (tensor<2x3xf32>) -> tensor<3x2xf32>
  %1 = "graph.pointwise"(%0) <{fn = "exp"}> : (tensor<3x2xf32>) -> tensor<3x2xf32>
  func.return %1 : tensor<3x2xf32>
}

// CHECK-LABEL: func.func @main(
// CHECK-NEXT:    %0 = "graph.launch"(%x) <{kernel = @main_part_0}>
// CHECK-NEXT:    %1 = "graph.launch"(%p, %0) <{kernel = @main_cond_0}>
// CHECK-NEXT:    %2 = "graph.launch"(%1, %0) <{kernel = @main_part_1}>
// CHECK-NEXT:    func.return %2
// CHECK-LABEL: func.func @main_part_1(
// CHECK-NEXT:    "graph.view"
// CHECK-NEXT:    "graph.pointwise"{{.*}} <{fn = "mul"}>
// CHECK-LABEL: func.func @main_cond_0(%p: tensor<i1>, %0: tensor<2x3xf32>)
// CHECK-NEXT:    "graph.cond"(%p, %0)
// CHECK-NEXT:    func.return
// CHECK-LABEL: func.func @main_part_0(%x: tensor<2x3xf32>) -> tensor<2x3xf32> attributes {tilecast.program}
// CHECK-NEXT:    "graph.weight"
// CHECK-NEXT:    "graph.pointwise"{{.*}} <{fn = "add"}>
// CHECK-NEXT:    func.return

// -----

// A function without control flow stays as it is.
func.func @main(%x: tensor<3xf32>) -> tensor<3xf32> {
  %0 = "graph.pointwise"(%x) <{fn = "exp"}> : (tensor<3xf32>) -> tensor<3xf32>
  func.return %0 : tensor<3xf32>
}

// CHECK-LABEL: func.func @main(
// CHECK-NEXT:    "graph.pointwise"
// CHECK-NEXT:    func.return
