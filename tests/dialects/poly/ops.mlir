// RUN: tilecast-opt %s | filecheck %s

// Every op and attribute of the dialect parses, verifies and prints.

// CHECK: "poly.scop"() <{sym_name = "scale", roles = ["weight", "out"], packs = [#poly.pack<affine_map<(d0, d1) -> (((d0 * 4) + d1))>, [#builtin.int<7>]>, unit], schedule = "unroll(S0.i0)"}> ({
"poly.scop"() <{sym_name = "scale", roles = ["weight", "out"], packs = [#poly.pack<affine_map<(d0, d1) -> (d0 * 4 + d1)>, [#builtin.int<7>]>, unit], schedule = "unroll(S0.i0)"}> ({
// CHECK-NEXT: ^bb0(%w: memref<2x4xf32>, %y: memref<7xf32>):
^bb0(%w: memref<2x4xf32>, %y: memref<7xf32>):
  // CHECK-NEXT: %t = "poly.array"() : () -> memref<7xf32>
  %t = "poly.array"() : () -> memref<7xf32>
  // CHECK-NEXT: "poly.statement"(%t, %w) <{sym_name = "S0", domain = "{ [i0] : 0 <= i0 < 7 }", write = affine_map<(d0) -> (d0)>, reads = [affine_map<(d0) -> ((d0 floordiv 4), (d0 mod 4))>]}> ({
  "poly.statement"(%t, %w) <{sym_name = "S0", domain = "{ [i0] : 0 <= i0 < 7 }", write = affine_map<(d0) -> (d0)>, reads = [affine_map<(d0) -> (d0 floordiv 4, d0 mod 4)>]}> ({
  // CHECK-NEXT: ^bb0(%a: f32):
  ^bb0(%a: f32):
    // CHECK-NEXT: %i = "poly.index"() <{dim = #builtin.int<0>}> : () -> index
    %i = "poly.index"() <{dim = #builtin.int<0>}> : () -> index
    %n = arith.index_cast %i : index to i64
    %f = arith.sitofp %n : i64 to f32
    %s = arith.addf %a, %f : f32
    // CHECK: "poly.yield"(%s) : (f32) -> ()
    "poly.yield"(%s) : (f32) -> ()
  // CHECK-NEXT: }) : (memref<7xf32>, memref<2x4xf32>) -> ()
  }) : (memref<7xf32>, memref<2x4xf32>) -> ()
  // CHECK-NEXT: "poly.statement"(%y, %y, %t) <{sym_name = "S1", {{.*}}, reduction = "max"}> ({
  "poly.statement"(%y, %y, %t) <{sym_name = "S1", domain = "{ [i0, i1] : 0 <= i0 <= i1 < 7 }", write = affine_map<(d0, d1) -> (d0)>, reads = [affine_map<(d0, d1) -> (d0)>, affine_map<(d0, d1) -> (d1)>], reduction = "max"}> ({
  ^bb0(%a: f32, %b: f32):
    %m = arith.maximumf %a, %b : f32
    "poly.yield"(%m) : (f32) -> ()
  }) : (memref<7xf32>, memref<7xf32>, memref<7xf32>) -> ()
}) : () -> ()
