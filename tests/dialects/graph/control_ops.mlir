// RUN: tilecast-opt %s | filecheck %s

// CHECK-LABEL: @main
func.func @main(%p: tensor<i1>, %n: tensor<i64>, %x: tensor<3x4xf32>) -> (tensor<4xf32>, tensor<3x4xf32>) {
  // CHECK: "graph.cond"(%p, %x) <{then_branch = @exp, else_branch = @neg}> : (tensor<i1>, tensor<3x4xf32>) -> tensor<3x4xf32>
  %0 = "graph.cond"(%p, %x) <{then_branch = @exp, else_branch = @neg}> : (tensor<i1>, tensor<3x4xf32>) -> tensor<3x4xf32>
  // CHECK: "graph.while"(%n, %n) <{condition = @less, body = @more, operandSegmentSizes = array<i32: 1, 1>}>
  %1 = "graph.while"(%n, %n) <{condition = @less, body = @more, operandSegmentSizes = array<i32: 1, 1>}> : (tensor<i64>, tensor<i64>) -> tensor<i64>
  %2 = "graph.full"() <{value = 0.0 : f64}> : () -> tensor<4xf32>
  // CHECK: "graph.for"(%{{.*}}, %{{.*}}) <{body = @sum, count = #builtin.int<3>
  %3, %4 = "graph.for"(%2, %0) <{body = @sum, count = #builtin.int<3>, operandSegmentSizes = array<i32: 1, 1, 0>, resultSegmentSizes = array<i32: 1, 1>}> : (tensor<4xf32>, tensor<3x4xf32>) -> (tensor<4xf32>, tensor<3x4xf32>)
  func.return %3, %4 : tensor<4xf32>, tensor<3x4xf32>
}

func.func @exp(%x: tensor<3x4xf32>) -> tensor<3x4xf32> attributes {tilecast.program} {
  %0 = "graph.pointwise"(%x) <{fn = "exp"}> : (tensor<3x4xf32>) -> tensor<3x4xf32>
  func.return %0 : tensor<3x4xf32>
}

func.func @neg(%x: tensor<3x4xf32>) -> tensor<3x4xf32> attributes {tilecast.program} {
  %0 = "graph.pointwise"(%x) <{fn = "neg"}> : (tensor<3x4xf32>) -> tensor<3x4xf32>
  func.return %0 : tensor<3x4xf32>
}

func.func @less(%i: tensor<i64>, %n: tensor<i64>) -> tensor<i1> attributes {tilecast.program} {
  %0 = "graph.pointwise"(%i, %n) <{fn = "lt"}> : (tensor<i64>, tensor<i64>) -> tensor<i1>
  func.return %0 : tensor<i1>
}

func.func @more(%i: tensor<i64>, %n: tensor<i64>) -> tensor<i64> attributes {tilecast.program} {
  %0 = "graph.pointwise"(%i, %n) <{fn = "add"}> : (tensor<i64>, tensor<i64>) -> tensor<i64>
  func.return %0 : tensor<i64>
}

func.func @sum(%s: tensor<4xf32>, %x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) attributes {tilecast.program} {
  %0 = "graph.pointwise"(%s, %x) <{fn = "add"}> : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  func.return %0, %0 : tensor<4xf32>, tensor<4xf32>
}
