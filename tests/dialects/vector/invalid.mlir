// RUN: tilecast-opt %s

// EXPECT-ERROR: vector.constant_mask: 5 not in 0..4
%m = "vector.constant_mask"() <{count = #builtin.int<5>}> : () -> vector<4xi1>

// -----

// EXPECT-ERROR: vector.constant_mask: -1 not in 0..4
%m = "vector.constant_mask"() <{count = #builtin.int<-1>}> : () -> vector<4xi1>

// -----

// EXPECT-ERROR: vector.cmpf: operand types differ
func.func @f(%a: vector<4xf32>, %b: vector<4xf64>) {
  %c = "vector.cmpf"(%a, %b) <{predicate = 2 : i64}> : (vector<4xf32>, vector<4xf64>) -> vector<4xi1>
  func.return
}

// -----

// EXPECT-ERROR: vector.cmpi: lane counts differ: [4, 8]
%a = "vector.step"() : () -> vector<4xindex>
%c = "vector.cmpi"(%a, %a) <{predicate = 2 : i64}> : (vector<4xindex>, vector<4xindex>) -> vector<8xi1>

// -----

// EXPECT-ERROR: vector.select: value types differ
%m = "vector.constant_mask"() <{count = #builtin.int<2>}> : () -> vector<4xi1>
%a = "vector.step"() : () -> vector<4xindex>
%c = "vector.select"(%m, %a, %m) : (vector<4xi1>, vector<4xindex>, vector<4xi1>) -> vector<4xindex>

// -----

// EXPECT-ERROR: vector.sitofp: lane counts differ: [4, 8]
%a = "vector.constant_mask"() <{count = #builtin.int<2>}> : () -> vector<4xi1>
%c = "vector.sitofp"(%a) : (vector<4xi1>) -> vector<8xf32>

// -----

// EXPECT-ERROR: vector.fnma: expected operands and result of one type
func.func @f(%a: vector<4xf32>, %b: vector<4xf64>) {
  %c = "vector.fnma"(%a, %b, %b) : (vector<4xf32>, vector<4xf64>, vector<4xf64>) -> vector<4xf64>
  func.return
}
