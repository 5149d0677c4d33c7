// RUN: tilecast-opt %s --split-input-file -p autoschedule | filecheck %s

// Rows of the same length: four of them share what they read of x.
"poly.scop"() <{sym_name = "square", roles = ["in", "in", "inout"]}> ({
^bb0(%L: memref<64x64xf64>, %x: memref<64xf64>, %y: memref<64xf64>):
  "poly.statement"(%y, %y, %L, %x) <{
    sym_name = "S0", domain = "{ [i0, i1] : 0 <= i0 < 64 and 0 <= i1 < 64 }",
    write = affine_map<(d0, d1) -> (d0)>,
    reads = [affine_map<(d0, d1) -> (d0)>, affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d1)>],
    reduction = "add"
  }> ({
  ^bb1(%a: f64, %l: f64, %b: f64):
    %p = arith.mulf %l, %b : f64
    %s = arith.addf %a, %p : f64
    "poly.yield"(%s) : (f64) -> ()
  }) : (memref<64xf64>, memref<64xf64>, memref<64x64xf64>, memref<64xf64>) -> ()
}) : () -> ()

// CHECK: schedule = "rearrange(for S0.i0_b[S0: floor((i0)/8)] { for S0.i1[S0: i1] { unroll S0.i0_u[S0: (i0) - 8*floor((i0)/8)] { S0 } } })"

// -----

// Rows of a triangle have different lengths, so they stay apart.
"poly.scop"() <{sym_name = "triangle", roles = ["in", "in", "inout"]}> ({
^bb0(%L: memref<64x64xf64>, %x: memref<64xf64>, %y: memref<64xf64>):
  "poly.statement"(%y, %y, %L, %x) <{
    sym_name = "S0", domain = "{ [i0, i1] : 0 <= i0 < 64 and 0 <= i1 < i0 }",
    write = affine_map<(d0, d1) -> (d0)>,
    reads = [affine_map<(d0, d1) -> (d0)>, affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d1)>],
    reduction = "add"
  }> ({
  ^bb1(%a: f64, %l: f64, %b: f64):
    %p = arith.mulf %l, %b : f64
    %s = arith.addf %a, %p : f64
    "poly.yield"(%s) : (f64) -> ()
  }) : (memref<64xf64>, memref<64xf64>, memref<64x64xf64>, memref<64xf64>) -> ()
}) : () -> ()

// CHECK: schedule = "rearrange(for S0.i0[S0: i0] { for S0.i1[S0: i1] { S0 } })"
