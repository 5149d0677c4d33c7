// RUN: tilecast-opt %s | filecheck %s

// Every op that is added to the dialect parses, verifies and prints.

// CHECK: func.func @ops
func.func @ops(%x: memref<8xf32>, %i: index, %v: vector<4xf32>) {
  // CHECK-NEXT: %offsets = "vector.step"() : () -> vector<4xindex>
  %offsets = "vector.step"() : () -> vector<4xindex>
  // CHECK-NEXT: %mask = "vector.constant_mask"() <{count = #builtin.int<3>}> : () -> vector<4xi1>
  %mask = "vector.constant_mask"() <{count = #builtin.int<3>}> : () -> vector<4xi1>
  // CHECK-NEXT: %g = "vector.gather"(%x, %i, %offsets, %mask, %v) : (memref<8xf32>, index, vector<4xindex>, vector<4xi1>, vector<4xf32>) -> vector<4xf32>
  %g = "vector.gather"(%x, %i, %offsets, %mask, %v) : (memref<8xf32>, index, vector<4xindex>, vector<4xi1>, vector<4xf32>) -> vector<4xf32>
  // CHECK-NEXT: "vector.scatter"(%x, %i, %offsets, %mask, %g) : (memref<8xf32>, index, vector<4xindex>, vector<4xi1>, vector<4xf32>) -> ()
  "vector.scatter"(%x, %i, %offsets, %mask, %g) : (memref<8xf32>, index, vector<4xindex>, vector<4xi1>, vector<4xf32>) -> ()
  // CHECK-NEXT: %lt = "vector.cmpf"(%g, %v) <{predicate = 4 : i64}> : (vector<4xf32>, vector<4xf32>) -> vector<4xi1>
  %lt = "vector.cmpf"(%g, %v) <{predicate = 4 : i64}> : (vector<4xf32>, vector<4xf32>) -> vector<4xi1>
  // CHECK-NEXT: %ne = "vector.cmpi"(%offsets, %offsets) <{predicate = 1 : i64}> : (vector<4xindex>, vector<4xindex>) -> vector<4xi1>
  %ne = "vector.cmpi"(%offsets, %offsets) <{predicate = 1 : i64}> : (vector<4xindex>, vector<4xindex>) -> vector<4xi1>
  // CHECK-NEXT: %s = "vector.select"(%lt, %g, %v) : (vector<4xi1>, vector<4xf32>, vector<4xf32>) -> vector<4xf32>
  %s = "vector.select"(%lt, %g, %v) : (vector<4xi1>, vector<4xf32>, vector<4xf32>) -> vector<4xf32>
  // CHECK-NEXT: %n = "vector.fptosi"(%s) : (vector<4xf32>) -> vector<4xi32>
  %n = "vector.fptosi"(%s) : (vector<4xf32>) -> vector<4xi32>
  // CHECK-NEXT: %f = "vector.sitofp"(%n) : (vector<4xi32>) -> vector<4xf32>
  %f = "vector.sitofp"(%n) : (vector<4xi32>) -> vector<4xf32>
  // CHECK-NEXT: %u = "vector.uitofp"(%ne) : (vector<4xi1>) -> vector<4xf32>
  %u = "vector.uitofp"(%ne) : (vector<4xi1>) -> vector<4xf32>
  // CHECK-NEXT: %w = "vector.extsi"(%n) : (vector<4xi32>) -> vector<4xi64>
  %w = "vector.extsi"(%n) : (vector<4xi32>) -> vector<4xi64>
  // CHECK-NEXT: %z = "vector.extui"(%ne) : (vector<4xi1>) -> vector<4xi32>
  %z = "vector.extui"(%ne) : (vector<4xi1>) -> vector<4xi32>
  // CHECK-NEXT: %t = "vector.trunci"(%w) : (vector<4xi64>) -> vector<4xi8>
  %t = "vector.trunci"(%w) : (vector<4xi64>) -> vector<4xi8>
  // CHECK-NEXT: %c = "vector.index_cast"(%w) : (vector<4xi64>) -> vector<4xindex>
  %c = "vector.index_cast"(%w) : (vector<4xi64>) -> vector<4xindex>
  // CHECK-NEXT: %d = "vector.fnma"(%g, %v, %s) : (vector<4xf32>, vector<4xf32>, vector<4xf32>) -> vector<4xf32>
  %d = "vector.fnma"(%g, %v, %s) : (vector<4xf32>, vector<4xf32>, vector<4xf32>) -> vector<4xf32>
  // CHECK-NEXT: "vector.prefetch"(%x, %i) : (memref<8xf32>, index) -> ()
  "vector.prefetch"(%x, %i) : (memref<8xf32>, index) -> ()
  // CHECK-NEXT: func.return
  func.return
}
