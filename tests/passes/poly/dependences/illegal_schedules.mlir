// RUN: tilecast-opt %s --split-input-file -p lower-scop

// y[i] = x[i] ; z[i] = y[i + 1]: z is one iteration ahead.
// EXPECT-ERROR: loop 'i' reverses a dependence: S1[0] must run after S0[1], but the loop runs it at 0, before 1; shift or skew the loop, or keep its order
"poly.scop"() <{sym_name = "k", roles = ["in", "out", "out"], schedule = "fuse(S0.i0+S1.i0, i)"}> ({
^bb0(%x: memref<2xf32>, %y: memref<2xf32>, %z: memref<1xf32>):
  "poly.statement"(%y, %x) <{sym_name = "S0", domain = "{ [i0] : 0 <= i0 < 2 }", write = affine_map<(d0) -> (d0)>, reads = [affine_map<(d0) -> (d0)>]}> ({
  ^bb0(%a: f32):
    "poly.yield"(%a) : (f32) -> ()
  }) : (memref<2xf32>, memref<2xf32>) -> ()
  "poly.statement"(%z, %y) <{sym_name = "S1", domain = "{ [i0] : 0 <= i0 < 1 }", write = affine_map<(d0) -> (d0)>, reads = [affine_map<(d0) -> (d0 + 1)>]}> ({
  ^bb0(%b: f32):
    "poly.yield"(%b) : (f32) -> ()
  }) : (memref<1xf32>, memref<2xf32>) -> ()
}) : () -> ()

// -----

// EXPECT-ERROR: loop 'S0.i0' carries a dependence, so it cannot be parallel: S0[1] must run after S0[0], but 1 and 0 may run at the same time; choose a loop that carries none
"poly.scop"() <{sym_name = "k", roles = ["inout"], schedule = "parallelize(S0.i0)"}> ({
^bb0(%x: memref<3xf32>):
  "poly.statement"(%x, %x) <{sym_name = "S0", domain = "{ [i0] : 0 <= i0 < 2 }", write = affine_map<(d0) -> (d0 + 1)>, reads = [affine_map<(d0) -> (d0)>]}> ({
  ^bb0(%a: f32):
    "poly.yield"(%a) : (f32) -> ()
  }) : (memref<3xf32>, memref<3xf32>) -> ()
}) : () -> ()

// -----

// EXPECT-ERROR: loop 'S0.i0' carries a reduction, so it cannot be parallel: S0[1] and S0[0] update one element, but 1 and 0 may run at the same time; choose another loop or rfactor the reduction
"poly.scop"() <{sym_name = "k", roles = ["in", "inout"], schedule = "parallelize(S0.i0)"}> ({
^bb0(%x: memref<2xf32>, %s: memref<1xf32>):
  "poly.statement"(%s, %s, %x) <{sym_name = "S0", domain = "{ [i0] : 0 <= i0 < 2 }", write = affine_map<(d0) -> (0)>, reads = [affine_map<(d0) -> (0)>, affine_map<(d0) -> (d0)>], reduction = "add"}> ({
  ^bb0(%a: f32, %b: f32):
    %r = arith.addf %a, %b : f32
    "poly.yield"(%r) : (f32) -> ()
  }) : (memref<1xf32>, memref<1xf32>, memref<2xf32>) -> ()
}) : () -> ()

// -----

// EXPECT-ERROR: S0[0] and S0[1] have the same place in the loop tree ('i'); add a loop whose value tells them apart
"poly.scop"() <{sym_name = "k", roles = ["in", "out"], schedule = "rearrange(for i[S0: floor(i0/2)] { S0 })"}> ({
^bb0(%x: memref<2xf32>, %y: memref<2xf32>):
  "poly.statement"(%y, %x) <{sym_name = "S0", domain = "{ [i0] : 0 <= i0 < 2 }", write = affine_map<(d0) -> (d0)>, reads = [affine_map<(d0) -> (d0)>]}> ({
  ^bb0(%a: f32):
    "poly.yield"(%a) : (f32) -> ()
  }) : (memref<2xf32>, memref<2xf32>) -> ()
}) : () -> ()

// -----

// EXPECT-ERROR: loop 'S0.i0' is bound to block.x, which a CPU does not have; use parallelize, or compile for a GPU
"poly.scop"() <{sym_name = "k", roles = ["in", "out"], schedule = "bind(S0.i0, block.x)"}> ({
^bb0(%x: memref<2xf32>, %y: memref<2xf32>):
  "poly.statement"(%y, %x) <{sym_name = "S0", domain = "{ [i0] : 0 <= i0 < 2 }", write = affine_map<(d0) -> (d0)>, reads = [affine_map<(d0) -> (d0)>]}> ({
  ^bb0(%a: f32):
    "poly.yield"(%a) : (f32) -> ()
  }) : (memref<2xf32>, memref<2xf32>) -> ()
}) : () -> ()
