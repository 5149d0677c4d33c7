// RUN: tilecast-opt %s -p join-reductions | filecheck %s

// Three vectors of a sum meet before their lanes do.
func.func @sum(%v: vector<8xf32>, %w: vector<8xf32>, %x: vector<8xf32>, %init: f32) -> f32 {
  %a = vector.reduction <add>, %v : vector<8xf32> into f32
  %s = arith.addf %init, %a : f32
  %b = vector.reduction <add>, %w : vector<8xf32> into f32
  %t = arith.addf %s, %b : f32
  %c = vector.reduction <add>, %x : vector<8xf32> into f32
  %u = arith.addf %t, %c : f32
  func.return %u : f32
}

// CHECK-LABEL: @sum
// CHECK-NEXT:  %[[P:.*]] = arith.addf %v, %w : vector<8xf32>
// CHECK-NEXT:  %[[Q:.*]] = arith.addf %[[P]], %x : vector<8xf32>
// CHECK-NEXT:  %[[R:.*]] = vector.reduction <add>, %[[Q]] : vector<8xf32> into f32
// CHECK-NEXT:  %[[S:.*]] = arith.addf %init, %[[R]] : f32
// CHECK-NEXT:  func.return %[[S]] : f32

// A partial sum that is needed itself, another kind and another length stay.
func.func @apart(%v: vector<8xf32>, %w: vector<8xf32>, %x: vector<4xf32>, %init: f32) -> (f32, f32) {
  %a = vector.reduction <add>, %v : vector<8xf32> into f32
  %s = arith.addf %init, %a : f32
  %b = vector.reduction <add>, %w : vector<8xf32> into f32
  %t = arith.addf %s, %b : f32
  %c = vector.reduction <add>, %x : vector<4xf32> into f32
  %u = arith.addf %t, %c : f32
  %m = vector.reduction <maxnumf>, %v : vector<8xf32> into f32
  %n = arith.mulf %u, %m : f32
  func.return %s, %n : f32, f32
}

// CHECK-LABEL: @apart
// CHECK-COUNT-3: vector.reduction <add>
// CHECK-NOT:   arith.addf {{.*}} : vector<8xf32>
