// RUN: tilecast-opt %s -p logistic-divisors | filecheck %s

// The divisors of sigmoid and silu.
func.func @silu(%x: vector<8xf32>, %y: f32) -> (vector<8xf32>, f32) {
  %one = arith.constant 1.0 : f32
  %ones = vector.broadcast %one : f32 to vector<8xf32>
  %a = arith.negf %x : vector<8xf32>
  %b = math.exp %a : vector<8xf32>
  %c = arith.addf %ones, %b : vector<8xf32>
  %d = arith.negf %y : f32
  %e = math.exp %d fastmath<afn> : f32
  %f = arith.addf %e, %one : f32
  func.return %c, %f : vector<8xf32>, f32
}

// CHECK-LABEL: @silu
// CHECK-NEXT:  %[[C:.*]] = "logistic.divisor"(%x) <{fastmath = #arith.fastmath<none>}> : (vector<8xf32>) -> vector<8xf32>
// CHECK-NEXT:  %[[F:.*]] = "logistic.divisor"(%y) <{fastmath = #arith.fastmath<afn>}> : (f32) -> f32
// CHECK-NEXT:  func.return %[[C]], %[[F]]

// Not those that add another number, or whose power is needed itself.
func.func @others(%x: f32) -> (f32, f32, f32) {
  %two = arith.constant 2.0 : f32
  %one = arith.constant 1.0 : f32
  %a = arith.negf %x : f32
  %b = math.exp %a : f32
  %c = arith.addf %two, %b : f32
  %e = math.exp %x : f32
  %f = arith.addf %one, %e : f32
  %g = math.exp %a : f32
  %h = arith.addf %one, %g : f32
  %i = arith.addf %h, %g : f32
  func.return %c, %f, %i : f32, f32, f32
}

// CHECK-LABEL: @others
// CHECK-NOT:   logistic.divisor
