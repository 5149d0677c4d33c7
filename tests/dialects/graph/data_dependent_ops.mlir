// RUN: tilecast-opt %s | filecheck %s

// CHECK-LABEL: @sorting
func.func @sorting(%x: tensor<4x9xf32>, %r: tensor<9xf32>) -> (tensor<4x3xi64>, tensor<4x9xi64>) {
  // CHECK: "graph.argsort"(%x) <{dim = #builtin.int<1>, descending = true, count = #builtin.int<3>}> : (tensor<4x9xf32>) -> tensor<4x3xi64>
  %0 = "graph.argsort"(%x) <{dim = #builtin.int<1>, descending = true, count = #builtin.int<3>}> : (tensor<4x9xf32>) -> tensor<4x3xi64>
  // CHECK: "graph.searchsorted"(%r, %x) <{right = false}> : (tensor<9xf32>, tensor<4x9xf32>) -> tensor<4x9xi64>
  %1 = "graph.searchsorted"(%r, %x) <{right = false}> : (tensor<9xf32>, tensor<4x9xf32>) -> tensor<4x9xi64>
  func.return %0, %1 : tensor<4x3xi64>, tensor<4x9xi64>
}

// CHECK-LABEL: @updates
func.func @updates(%x: tensor<4x9xf32>, %i: tensor<3x9xi64>, %u: tensor<3x9xf32>, %j: tensor<3xi64>) -> (tensor<4x9xf32>, tensor<4x9xf32>) {
  // CHECK: "graph.scatter"(%x, %u, %i) <{fn = "add", dim = #builtin.int<0>}> : (tensor<4x9xf32>, tensor<3x9xf32>, tensor<3x9xi64>) -> tensor<4x9xf32>
  %0 = "graph.scatter"(%x, %u, %i) <{fn = "add", dim = #builtin.int<0>}> : (tensor<4x9xf32>, tensor<3x9xf32>, tensor<3x9xi64>) -> tensor<4x9xf32>
  // CHECK: "graph.index_put"(%x, %u, %j) <{fn = "set"}> : (tensor<4x9xf32>, tensor<3x9xf32>, tensor<3xi64>) -> tensor<4x9xf32>
  %1 = "graph.index_put"(%x, %u, %j) <{fn = "set"}> : (tensor<4x9xf32>, tensor<3x9xf32>, tensor<3xi64>) -> tensor<4x9xf32>
  func.return %0, %1 : tensor<4x9xf32>, tensor<4x9xf32>
}

// CHECK-LABEL: @scan
func.func @scan(%x: tensor<4x9xf32>) -> tensor<4x9xf32> {
  // CHECK: "graph.scan"(%x) <{fn = "sum", dim = #builtin.int<1>}> : (tensor<4x9xf32>) -> tensor<4x9xf32>
  %0 = "graph.scan"(%x) <{fn = "sum", dim = #builtin.int<1>}> : (tensor<4x9xf32>) -> tensor<4x9xf32>
  func.return %0 : tensor<4x9xf32>
}
