// RUN: tilecast-opt %s -p fuse --split-input-file | filecheck %s

// A contraction takes its pointwise epilogue along; a norm is a kernel of rows.
func.func @main(%x: tensor<4x8xf32>) -> tensor<4x6xf32> {
  %w = "graph.weight"() <{symbol = @fc.weight}> : () -> tensor<6x8xf32>
  %b = "graph.weight"() <{symbol = @fc.bias}> : () -> tensor<6xf32>
  %g = "graph.weight"() <{symbol = @norm.weight}> : () -> tensor<6xf32>
  %0 = "graph.linear"(%x, %w, %b) : (tensor<4x8xf32>, tensor<6x8xf32>, tensor<6xf32>) -> tensor<4x6xf32>
  %1 = "graph.pointwise"(%0) <{fn = "gelu"}> : (tensor<4x6xf32>) -> tensor<4x6xf32>
  %2 = "graph.norm"(%1, %g) <{kind = "rms", rank = #builtin.int<1>, eps = 1.0e-06 : f64, operandSegmentSizes = array<i32: 1, 1, 0>}> : (tensor<4x6xf32>, tensor<6xf32>) -> tensor<4x6xf32>
  func.return %2 : tensor<4x6xf32>
}

// CHECK-LABEL: func.func private @linear_gelu_0(%x: tensor<4x8xf32>, %weight: tensor<6x8xf32> {tilecast.weight}, %bias: tensor<6xf32> {tilecast.weight}) -> tensor<4x6xf32>
// CHECK-NEXT:    "graph.linear"(%x, %weight, %bias)
// CHECK-NEXT:    "graph.pointwise"({{.*}}) <{fn = "gelu"}>
// CHECK-NEXT:    func.return
// CHECK-LABEL: func.func private @norm_1
// CHECK-LABEL: func.func @main
// CHECK-COUNT-3: "graph.weight"
// CHECK-NEXT:    "graph.launch"(%x, %w, %b) <{kernel = @linear_gelu_0}>
// CHECK-NEXT:    "graph.launch"({{.*}}, %g) <{kernel = @norm_1}>
// CHECK-NEXT:    func.return

// -----

// The permuted result of attention is what the kernel returns; the merging reshape in main is free.
func.func @main(%q: tensor<2x3x5x4xf32>) -> tensor<2x5x12xf32> {
  %0 = "graph.attention"(%q, %q, %q) <{scale = 5.0e-01 : f64, causal = true}> : (tensor<2x3x5x4xf32>, tensor<2x3x5x4xf32>, tensor<2x3x5x4xf32>) -> tensor<2x3x5x4xf32>
  %1 = "graph.view"(%0) <{map = affine_map<(d0, d1, d2, d3) -> (d0, d2, d1, d3)>}> : (tensor<2x3x5x4xf32>) -> tensor<2x5x3x4xf32>
  %2 = "graph.reshape"(%1) : (tensor<2x5x3x4xf32>) -> tensor<2x5x12xf32>
  func.return %2 : tensor<2x5x12xf32>
}

// CHECK-LABEL: func.func private @attention_0
// CHECK-SAME:    -> tensor<2x5x3x4xf32>
// CHECK-NEXT:    "graph.attention"
// CHECK-NEXT:    "graph.view"
// CHECK-LABEL: func.func @main
// CHECK-NEXT:    "graph.launch"(%q)
// CHECK-NEXT:    "graph.reshape"
// CHECK-NEXT:    func.return

// -----

// Nothing to compute: nothing changes.
func.func @main(%x: tensor<4x8xf32>) -> tensor<32xf32> {
  %0 = "graph.reshape"(%x) : (tensor<4x8xf32>) -> tensor<32xf32>
  func.return %0 : tensor<32xf32>
}

// CHECK-NOT:   private
// CHECK-LABEL: func.func @main
// CHECK-NEXT:    "graph.reshape"(%x)
// CHECK-NEXT:    func.return

// -----

// An opaque op is alone in its kernel, but for the views it reads through.
func.func @main(%x: tensor<4x8xf32>) -> (tensor<8x4xi64>, tensor<8x4xf32>) {
  %0 = "graph.pointwise"(%x) <{fn = "relu"}> : (tensor<4x8xf32>) -> tensor<4x8xf32>
  %1 = "graph.view"(%0) <{map = affine_map<(d0, d1) -> (d1, d0)>}> : (tensor<4x8xf32>) -> tensor<8x4xf32>
  %2 = "graph.argsort"(%1) <{dim = #builtin.int<1>, descending = false, count = #builtin.int<4>}> : (tensor<8x4xf32>) -> tensor<8x4xi64>
  %3 = "graph.gather"(%1, %2) <{dim = #builtin.int<1>}> : (tensor<8x4xf32>, tensor<8x4xi64>) -> tensor<8x4xf32>
  %4 = "graph.pointwise"(%3) <{fn = "exp"}> : (tensor<8x4xf32>) -> tensor<8x4xf32>
  func.return %2, %4 : tensor<8x4xi64>, tensor<8x4xf32>
}

// CHECK-LABEL: func.func private @relu_0
// CHECK-LABEL: func.func private @argsort_1(%0: tensor<4x8xf32>) -> tensor<8x4xi64>
// CHECK-NEXT:    "graph.view"
// CHECK-NEXT:    "graph.argsort"
// CHECK-NEXT:    func.return
// CHECK-LABEL: func.func private @gather_exp_2
// CHECK:         "graph.gather"
// CHECK-NEXT:    "graph.pointwise"
// CHECK-NEXT:    func.return
