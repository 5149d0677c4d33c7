// RUN: tilecast-opt %s -p fold-constants --split-input-file | filecheck %s

// CHECK-LABEL: @ranges_are_tabulated
// CHECK-NEXT: %[[TABLE:.*]] = "graph.weight"() <{symbol = @constant}> : () -> tensor<4xi64>
// CHECK-NEXT: "graph.pointwise"(%x, %[[TABLE]]) <{fn = "mul"}>
func.func @ranges_are_tabulated(%x: tensor<4xi64>) -> tensor<4xi64> {
  %0 = "graph.iota"() <{start = #builtin.int<0>, step = #builtin.int<1>}> : () -> tensor<4xi64>
  %1 = "graph.pointwise"(%0, %0) <{fn = "mul"}> : (tensor<4xi64>, tensor<4xi64>) -> tensor<4xi64>
  %2 = "graph.pointwise"(%x, %1) <{fn = "mul"}> : (tensor<4xi64>, tensor<4xi64>) -> tensor<4xi64>
  func.return %2 : tensor<4xi64>
}

// -----

// CHECK-LABEL: @equal_elements_are_a_constant
// CHECK-NEXT: "graph.full"() <{value = 0 : i64}> : () -> tensor<4xi64>
func.func @equal_elements_are_a_constant(%x: tensor<4xi64>) -> tensor<4xi64> {
  %0 = "graph.iota"() <{start = #builtin.int<0>, step = #builtin.int<1>}> : () -> tensor<4xi64>
  %1 = "graph.pointwise"(%0, %0) <{fn = "sub"}> : (tensor<4xi64>, tensor<4xi64>) -> tensor<4xi64>
  %2 = "graph.pointwise"(%x, %1) <{fn = "mul"}> : (tensor<4xi64>, tensor<4xi64>) -> tensor<4xi64>
  func.return %2 : tensor<4xi64>
}

// -----

// CHECK-LABEL: @large_results_stay_ops
// CHECK: "graph.pointwise"(%{{.*}}, %{{.*}}) <{fn = "le"}> : (tensor<512xi64>, tensor<512x1xi64>)
func.func @large_results_stay_ops(%x: tensor<512x512xi1>) -> tensor<512x512xi1> {
  %0 = "graph.iota"() <{start = #builtin.int<0>, step = #builtin.int<1>}> : () -> tensor<512xi64>
  %1 = "graph.reshape"(%0) : (tensor<512xi64>) -> tensor<512x1xi64>
  %2 = "graph.pointwise"(%0, %1) <{fn = "le"}> : (tensor<512xi64>, tensor<512x1xi64>) -> tensor<512x512xi1>
  %3 = "graph.pointwise"(%x, %2) <{fn = "and"}> : (tensor<512x512xi1>, tensor<512x512xi1>) -> tensor<512x512xi1>
  func.return %3 : tensor<512x512xi1>
}

// -----

// CHECK-LABEL: @weights_without_data_stay
// CHECK-NEXT: "graph.weight"() <{symbol = @w}>
// CHECK-NEXT: "graph.pointwise"
func.func @weights_without_data_stay() -> tensor<4xf32> {
  %0 = "graph.weight"() <{symbol = @w}> : () -> tensor<4xf32>
  %1 = "graph.pointwise"(%0) <{fn = "exp"}> : (tensor<4xf32>) -> tensor<4xf32>
  func.return %1 : tensor<4xf32>
}
