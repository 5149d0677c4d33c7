// RUN: tilecast-opt %s -p convert-graph-to-linalg --split-input-file | filecheck %s

// A contraction starts from zero; the bias comes after it.
func.func private @linear(%x: tensor<4x8xf32>, %w: tensor<6x8xf32>, %b: tensor<6xf32>) -> tensor<4x6xf32> {
  %0 = "graph.linear"(%x, %w, %b) : (tensor<4x8xf32>, tensor<6x8xf32>, tensor<6xf32>) -> tensor<4x6xf32>
  func.return %0 : tensor<4x6xf32>
}

// CHECK-LABEL: func.func private @linear
// CHECK-NEXT:    [[ZERO:%\d+]] = arith.constant 0.000000e+00 : f32
// CHECK-NEXT:    [[EMPTY:%\d+]] = tensor.empty() : tensor<4x6xf32>
// CHECK-NEXT:    [[FILL:%\d+]] = linalg.fill ins([[ZERO]] : f32) outs([[EMPTY]] : tensor<4x6xf32>)
// CHECK-NEXT:    linalg.generic {indexing_maps = [affine_map<(d0, d1, d2) -> (d0, d2)>, affine_map<(d0, d1, d2) -> (d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1)>], iterator_types = ["parallel", "parallel", "reduction"]} ins(%x, %w : tensor<4x8xf32>, tensor<6x8xf32>) outs([[FILL]] : tensor<4x6xf32>)
// CHECK-NEXT:    ^bb0(%{{.*}}: f32, %{{.*}}: f32, %{{.*}}: f32):
// CHECK-NEXT:      arith.mulf
// CHECK-NEXT:      arith.addf
// CHECK-NEXT:      linalg.yield
// CHECK:         tensor.empty
// CHECK-NEXT:    linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d1)>, affine_map<(d0, d1) -> (d0, d1)>], iterator_types = ["parallel", "parallel"]}
// CHECK:         func.return

// -----

// A uniform operand is a constant of the body, a size-1 dim is read at 0, a view is kept.
func.func private @scale(%x: tensor<4x1xf32>) -> tensor<3x4xf32> {
  %two = "graph.full"() <{value = 2.0 : f64}> : () -> tensor<f32>
  %0 = "graph.pointwise"(%x, %two) <{fn = "mul"}> : (tensor<4x1xf32>, tensor<f32>) -> tensor<4x1xf32>
  %wide = "graph.full"() <{value = 1.0 : f64}> : () -> tensor<4x3xf32>
  %1 = "graph.pointwise"(%0, %wide) <{fn = "add"}> : (tensor<4x1xf32>, tensor<4x3xf32>) -> tensor<4x3xf32>
  %2 = "graph.view"(%1) <{map = affine_map<(d0, d1) -> (d1, d0)>}> : (tensor<4x3xf32>) -> tensor<3x4xf32>
  func.return %2 : tensor<3x4xf32>
}

// CHECK-LABEL: func.func private @scale
// CHECK-NEXT:    tensor.empty
// CHECK-NEXT:    linalg.generic {{.*}} ins(%x : tensor<4x1xf32>)
// CHECK:           arith.constant 2.000000e+00 : f32
// CHECK-NEXT:      arith.mulf
// CHECK:         tensor.empty
// CHECK-NEXT:    linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, 0)>, affine_map<(d0, d1) -> (d0, d1)>]
// CHECK:           arith.constant 1.000000e+00 : f32
// CHECK-NEXT:      arith.addf
// CHECK:         "graph.view"
// CHECK-NEXT:    func.return

// -----

// Main is not a kernel: it keeps its ops.
func.func @main(%x: tensor<3xf32>) -> tensor<3xf32> {
  %0 = "graph.launch"(%x) <{kernel = @k}> : (tensor<3xf32>) -> tensor<3xf32>
  %1 = "graph.reshape"(%0) : (tensor<3xf32>) -> tensor<3xf32>
  func.return %1 : tensor<3xf32>
}

// CHECK-LABEL: func.func @main
// CHECK-NEXT:    "graph.launch"
// CHECK-NEXT:    "graph.reshape"
// CHECK-NEXT:    func.return
