// RUN: tilecast-opt %s -p declare-kernels --split-input-file | filecheck %s

// A temporary that fits the stack is no argument.
"poly.scop"() <{sym_name = "k", roles = ["in", "out"], packs = [unit, unit], schedule = ""}> ({
^bb0(%x: memref<5x7xf32>, %y: memref<5x7xf32>):
  %t = "poly.array"() : () -> memref<5x7xf32>
  "poly.statement"(%t, %x) <{sym_name = "S0", domain = "{ [i0, i1] : 0 <= i0 < 5 and 0 <= i1 < 7 }", write = affine_map<(d0, d1) -> (d0, d1)>, reads = [affine_map<(d0, d1) -> (d0, d1)>]}> ({
  ^bb0(%a0: f32):
    "poly.yield"(%a0) : (f32) -> ()
  }) : (memref<5x7xf32>, memref<5x7xf32>) -> ()
  "poly.statement"(%y, %t) <{sym_name = "S1", domain = "{ [i0, i1] : 0 <= i0 < 5 and 0 <= i1 < 7 }", write = affine_map<(d0, d1) -> (d0, d1)>, reads = [affine_map<(d0, d1) -> (d0, d1)>]}> ({
  ^bb0(%a0_1: f32):
    "poly.yield"(%a0_1) : (f32) -> ()
  }) : (memref<5x7xf32>, memref<5x7xf32>) -> ()
}) : () -> ()

// CHECK:      func.func @k(%x: memref<5x7xf32>, %y: memref<5x7xf32>) attributes {tilecast.roles = ["in", "out"]} {
// CHECK-NEXT:   func.return
// CHECK-NEXT: }

// -----

// A large one is, unless one iteration holds what it needs of it.
"poly.scop"() <{sym_name = "k", roles = ["in", "out"], packs = [unit, unit], schedule = ""}> ({
^bb0(%x: memref<99x99xf32>, %y: memref<99x99xf32>):
  %t = "poly.array"() : () -> memref<99x99xf32>
  "poly.statement"(%t, %x) <{sym_name = "S0", domain = "{ [i0, i1] : 0 <= i0 < 99 and 0 <= i1 < 99 }", write = affine_map<(d0, d1) -> (d0, d1)>, reads = [affine_map<(d0, d1) -> (d0, d1)>]}> ({
  ^bb0(%a0: f32):
    "poly.yield"(%a0) : (f32) -> ()
  }) : (memref<99x99xf32>, memref<99x99xf32>) -> ()
  "poly.statement"(%y, %t) <{sym_name = "S1", domain = "{ [i0, i1] : 0 <= i0 < 99 and 0 <= i1 < 99 }", write = affine_map<(d0, d1) -> (d0, d1)>, reads = [affine_map<(d0, d1) -> (d0, d1)>]}> ({
  ^bb0(%a0_1: f32):
    "poly.yield"(%a0_1) : (f32) -> ()
  }) : (memref<99x99xf32>, memref<99x99xf32>) -> ()
}) : () -> ()

// CHECK:      func.func @k(%x: memref<99x99xf32>, %y: memref<99x99xf32>, %t: memref<99x99xf32>) attributes {tilecast.roles = ["in", "out", "scratch"]} {
// CHECK-NEXT:   func.return
// CHECK-NEXT: }

// -----

"poly.scop"() <{sym_name = "k", roles = ["in", "out"], packs = [unit, unit], schedule = "fuse(S0.i0+S1.i0, i)"}> ({
^bb0(%x: memref<99x99xf32>, %y: memref<99x99xf32>):
  %t = "poly.array"() : () -> memref<99x99xf32>
  "poly.statement"(%t, %x) <{sym_name = "S0", domain = "{ [i0, i1] : 0 <= i0 < 99 and 0 <= i1 < 99 }", write = affine_map<(d0, d1) -> (d0, d1)>, reads = [affine_map<(d0, d1) -> (d0, d1)>]}> ({
  ^bb0(%a0: f32):
    "poly.yield"(%a0) : (f32) -> ()
  }) : (memref<99x99xf32>, memref<99x99xf32>) -> ()
  "poly.statement"(%y, %t) <{sym_name = "S1", domain = "{ [i0, i1] : 0 <= i0 < 99 and 0 <= i1 < 99 }", write = affine_map<(d0, d1) -> (d0, d1)>, reads = [affine_map<(d0, d1) -> (d0, d1)>]}> ({
  ^bb0(%a0_1: f32):
    "poly.yield"(%a0_1) : (f32) -> ()
  }) : (memref<99x99xf32>, memref<99x99xf32>) -> ()
}) : () -> ()

// CHECK:      func.func @k(%x: memref<99x99xf32>, %y: memref<99x99xf32>) attributes {tilecast.roles = ["in", "out"]} {
// CHECK-NEXT:   func.return
// CHECK-NEXT: }

// -----

// Every other function stays.
func.func @f() {
  func.return
}

// CHECK:      func.func @f() {
// CHECK-NEXT:   func.return
// CHECK-NEXT: }
