// RUN: tilecast-opt %s -p deduplicate-kernels --split-input-file | filecheck %s

// Names of functions and values and source locations make no difference; constants do.
func.func private @exp_0(%x: tensor<3xf32>) -> tensor<3xf32> {
  %0 = "graph.pointwise"(%x) <{fn = "exp"}> {loc = "layer.0 @ model.py:3"} : (tensor<3xf32>) -> tensor<3xf32>
  func.return %0 : tensor<3xf32>
}
func.func private @exp_1(%y: tensor<3xf32>) -> tensor<3xf32> {
  %z = "graph.pointwise"(%y) <{fn = "exp"}> {loc = "layer.1 @ model.py:3"} : (tensor<3xf32>) -> tensor<3xf32>
  func.return %z : tensor<3xf32>
}
func.func private @neg_2(%y: tensor<3xf32>) -> tensor<3xf32> {
  %z = "graph.pointwise"(%y) <{fn = "neg"}> : (tensor<3xf32>) -> tensor<3xf32>
  func.return %z : tensor<3xf32>
}
func.func @main(%x: tensor<3xf32>) -> tensor<3xf32> {
  %0 = "graph.launch"(%x) <{kernel = @exp_0}> : (tensor<3xf32>) -> tensor<3xf32>
  %1 = "graph.launch"(%0) <{kernel = @exp_1}> : (tensor<3xf32>) -> tensor<3xf32>
  %2 = "graph.launch"(%1) <{kernel = @neg_2}> : (tensor<3xf32>) -> tensor<3xf32>
  func.return %2 : tensor<3xf32>
}

// CHECK-LABEL: func.func private @exp_0
// CHECK-NOT:   @exp_1
// CHECK-LABEL: func.func private @neg_2
// CHECK-LABEL: func.func @main
// CHECK-NEXT:    "graph.launch"({{.*}}) <{kernel = @exp_0}>
// CHECK-NEXT:    "graph.launch"({{.*}}) <{kernel = @exp_0}>
// CHECK-NEXT:    "graph.launch"({{.*}}) <{kernel = @neg_2}>

// -----

// A kernel whose argument is a weight is another one than a kernel whose argument is not.
func.func private @exp_0(%x: tensor<3xf32>) -> tensor<3xf32> {
  %0 = "graph.pointwise"(%x) <{fn = "exp"}> : (tensor<3xf32>) -> tensor<3xf32>
  func.return %0 : tensor<3xf32>
}
func.func private @exp_1(%x: tensor<3xf32> {tilecast.weight}) -> tensor<3xf32> {
  %0 = "graph.pointwise"(%x) <{fn = "exp"}> : (tensor<3xf32>) -> tensor<3xf32>
  func.return %0 : tensor<3xf32>
}

// CHECK-LABEL: func.func private @exp_0
// CHECK-LABEL: func.func private @exp_1
