// RUN: tilecast-opt %s | filecheck %s

// Every op of the dialect parses, verifies and prints.

// CHECK-LABEL: @sources
func.func @sources() -> (tensor<2x3xf32>, tensor<f32>, tensor<i1>, tensor<5xi64>) {
  // CHECK: "graph.weight"() <{symbol = @layer.0.weight}> : () -> tensor<2x3xf32>
  %0 = "graph.weight"() <{symbol = @layer.0.weight}> : () -> tensor<2x3xf32>
  // CHECK: "graph.full"() <{value = 1.500000e+00 : f64}> : () -> tensor<f32>
  %1 = "graph.full"() <{value = 1.5 : f64}> : () -> tensor<f32>
  // CHECK: "graph.full"() <{value = 1 : i64}> : () -> tensor<i1>
  %2 = "graph.full"() <{value = 1 : i64}> : () -> tensor<i1>
  // CHECK: "graph.iota"() <{start = #builtin.int<2>, step = #builtin.int<-1>}> : () -> tensor<5xi64>
  %3 = "graph.iota"() <{start = #builtin.int<2>, step = #builtin.int<-1>}> : () -> tensor<5xi64>
  func.return %0, %1, %2, %3 : tensor<2x3xf32>, tensor<f32>, tensor<i1>, tensor<5xi64>
}

// CHECK-LABEL: @elementwise
func.func @elementwise(%x: tensor<2x3xf32>, %y: tensor<3xf32>, %c: tensor<2x1xi1>) -> tensor<2x3xi32> {
  // CHECK: "graph.pointwise"(%x, %y) <{fn = "add"}> {loc = "layer @ model.py:7"}
  %0 = "graph.pointwise"(%x, %y) <{fn = "add"}> {loc = "layer @ model.py:7"} : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xf32>
  // CHECK: "graph.pointwise"(%c, %0, %y) <{fn = "where"}>
  %1 = "graph.pointwise"(%c, %0, %y) <{fn = "where"}> : (tensor<2x1xi1>, tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xf32>
  // CHECK: "graph.cast"(%1) : (tensor<2x3xf32>) -> tensor<2x3xi32>
  %2 = "graph.cast"(%1) : (tensor<2x3xf32>) -> tensor<2x3xi32>
  func.return %2 : tensor<2x3xi32>
}

// CHECK-LABEL: @layout
func.func @layout(%x: tensor<2x3xf32>) -> tensor<4x8xf32> {
  // CHECK: "graph.view"(%x) <{map = affine_map<(d0, d1) -> (d1, d0)>}>
  %0 = "graph.view"(%x) <{map = affine_map<(d0, d1) -> (d1, d0)>}> : (tensor<2x3xf32>) -> tensor<3x2xf32>
  // CHECK: "graph.reshape"(%0) : (tensor<3x2xf32>) -> tensor<2x3xf32>
  %1 = "graph.reshape"(%0) : (tensor<3x2xf32>) -> tensor<2x3xf32>
  // CHECK: "graph.cat"(%1, %x) <{dim = #builtin.int<1>}>
  %2 = "graph.cat"(%1, %x) <{dim = #builtin.int<1>}> : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x6xf32>
  // CHECK: "graph.pad"(%2) <{low = [#builtin.int<1>, #builtin.int<0>], high = [#builtin.int<1>, #builtin.int<2>], value = 0.000000e+00 : f64}>
  %3 = "graph.pad"(%2) <{low = [#builtin.int<1>, #builtin.int<0>], high = [#builtin.int<1>, #builtin.int<2>], value = 0.0 : f64}> : (tensor<2x6xf32>) -> tensor<4x8xf32>
  func.return %3 : tensor<4x8xf32>
}

// CHECK-LABEL: @rows
func.func @rows(%x: tensor<2x3xf32>, %g: tensor<3xf32>) -> tensor<2xf32> {
  // CHECK: "graph.softmax"(%x) <{dim = #builtin.int<1>, log = false}>
  %0 = "graph.softmax"(%x) <{dim = #builtin.int<1>, log = false}> : (tensor<2x3xf32>) -> tensor<2x3xf32>
  // CHECK: "graph.norm"(%0, %g) <{kind = "rms", rank = #builtin.int<1>, eps = 1.000000e-05 : f64
  %1 = "graph.norm"(%0, %g) <{kind = "rms", rank = #builtin.int<1>, eps = 1.0e-05 : f64, operandSegmentSizes = array<i32: 1, 1, 0>}> : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xf32>
  // CHECK: "graph.reduce"(%1) <{fn = "max", dims = [#builtin.int<1>]}>
  %2 = "graph.reduce"(%1) <{fn = "max", dims = [#builtin.int<1>]}> : (tensor<2x3xf32>) -> tensor<2xf32>
  func.return %2 : tensor<2xf32>
}

// CHECK-LABEL: @contractions
func.func @contractions(%x: tensor<2x3xf32>, %w: tensor<4x3xf32>, %q: tensor<2x5x4xf32>, %m: tensor<2x5x5xi1>) -> tensor<2x5x4xf32> {
  // CHECK: "graph.linear"(%x, %w)
  %0 = "graph.linear"(%x, %w) : (tensor<2x3xf32>, tensor<4x3xf32>) -> tensor<2x4xf32>
  // CHECK: "graph.matmul"(%w, %x2)
  %x2 = "graph.view"(%x) <{map = affine_map<(d0, d1) -> (d1, d0)>}> : (tensor<2x3xf32>) -> tensor<3x2xf32>
  %1 = "graph.matmul"(%w, %x2) : (tensor<4x3xf32>, tensor<3x2xf32>) -> tensor<4x2xf32>
  // CHECK: "graph.attention"(%q, %q, %q, %m) <{scale = 5.000000e-01 : f64, causal = true}>
  %2 = "graph.attention"(%q, %q, %q, %m) <{scale = 0.5 : f64, causal = true}> : (tensor<2x5x4xf32>, tensor<2x5x4xf32>, tensor<2x5x4xf32>, tensor<2x5x5xi1>) -> tensor<2x5x4xf32>
  func.return %2 : tensor<2x5x4xf32>
}

// CHECK-LABEL: @windows
func.func @windows(%x: tensor<1x2x6xf32>, %w: tensor<4x1x3xf32>, %b: tensor<4xf32>) -> tensor<1x4x3xf32> {
  // CHECK: "graph.conv"(%x, %w, %b) <{stride = [#builtin.int<1>], padding = [#builtin.int<1>], dilation = [#builtin.int<1>], groups = #builtin.int<2>}>
  %0 = "graph.conv"(%x, %w, %b) <{stride = [#builtin.int<1>], padding = [#builtin.int<1>], dilation = [#builtin.int<1>], groups = #builtin.int<2>}> : (tensor<1x2x6xf32>, tensor<4x1x3xf32>, tensor<4xf32>) -> tensor<1x4x6xf32>
  // CHECK: "graph.pool"(%0) <{fn = "max", kernel = [#builtin.int<2>]
  %1 = "graph.pool"(%0) <{fn = "max", kernel = [#builtin.int<2>], stride = [#builtin.int<2>], padding_low = [#builtin.int<0>], padding_high = [#builtin.int<0>], dilation = [#builtin.int<1>]}> : (tensor<1x4x6xf32>) -> tensor<1x4x3xf32>
  func.return %1 : tensor<1x4x3xf32>
}

// CHECK-LABEL: @reads
func.func @reads(%t: tensor<9x4xf32>, %i: tensor<2x3xi64>) -> tensor<2x3xf32> {
  // CHECK: "graph.embedding"(%t, %i)
  %0 = "graph.embedding"(%t, %i) : (tensor<9x4xf32>, tensor<2x3xi64>) -> tensor<2x3x4xf32>
  // CHECK: "graph.gather"(%t, %i) <{dim = #builtin.int<0>}>
  %1 = "graph.gather"(%t, %i) <{dim = #builtin.int<0>}> : (tensor<9x4xf32>, tensor<2x3xi64>) -> tensor<2x3xf32>
  // CHECK: "graph.index"(%t, %i, %i)
  %2 = "graph.index"(%t, %i, %i) : (tensor<9x4xf32>, tensor<2x3xi64>, tensor<2x3xi64>) -> tensor<2x3xf32>
  // CHECK: "graph.launch"(%2) <{kernel = @double, label = "double"}>
  %3 = "graph.launch"(%2) <{kernel = @double, label = "double"}> : (tensor<2x3xf32>) -> tensor<2x3xf32>
  func.return %3 : tensor<2x3xf32>
}

func.func private @double(%x: tensor<2x3xf32>) -> tensor<2x3xf32> {
  %0 = "graph.pointwise"(%x, %x) <{fn = "add"}> : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x3xf32>
  func.return %0 : tensor<2x3xf32>
}

// extents that depend on the call: the shape has their upper bounds
// CHECK-LABEL: func.func @sizes(%x: tensor<8x4xf32, #graph.sizes<["batch[1..8]", "4"]>>)
func.func @sizes(%x: tensor<8x4xf32, #graph.sizes<["batch[1..8]", "4"]>>) -> tensor<32xf32, #graph.sizes<["4*batch[1..8]"]>> {
  // CHECK: "graph.size"() <{size = "2*batch[1..8] + 1"}> : () -> tensor<i64>
  %n = "graph.size"() <{size = "2*batch[1..8] + 1"}> : () -> tensor<i64>
  %0 = "graph.reshape"(%x) : (tensor<8x4xf32, #graph.sizes<["batch[1..8]", "4"]>>) -> tensor<32xf32, #graph.sizes<["4*batch[1..8]"]>>
  func.return %0 : tensor<32xf32, #graph.sizes<["4*batch[1..8]"]>>
}
