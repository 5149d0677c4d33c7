// RUN: tilecast-opt %s -p tile-programs | filecheck %s

// A product with bias: one launch, in which the epilogue is a scalar function.
// CHECK-LABEL: func.func @linear
// CHECK-SAME: %x: memref<5x16xf32>, %w: memref<12x16xf32>, %bias: memref<12xf32>, %out: memref<5x12xf32>
// CHECK: "tile.launch"(%x, %w, %bias, %out)
// CHECK-NEXT: "tile.program"() <{sym_name = "linear"
// CHECK: tile.copy_async
// CHECK: tile.dot
// CHECK: "tile.map"
// CHECK: arith.addf
// CHECK-NEXT: tile.yield
// CHECK: tile.store_global
// CHECK-NOT: poly.scop
"poly.scop"() <{sym_name = "linear", roles = ["in", "weight", "weight", "out"]}> ({
^bb0(%x: memref<5x16xf32>, %w: memref<12x16xf32>, %bias: memref<12xf32>, %out: memref<5x12xf32>):
  %t = "poly.array"() : () -> memref<5x12xf32>
  "poly.statement"(%t) <{sym_name = "S0", domain = "{ [i0, i1] : 0 <= i0 < 5 and 0 <= i1 < 12 }", write = affine_map<(d0, d1) -> (d0, d1)>, reads = []}> ({
    %0 = arith.constant 0.000000e+00 : f32
    "poly.yield"(%0) : (f32) -> ()
  }) : (memref<5x12xf32>) -> ()
  "poly.statement"(%t, %t, %x, %w) <{sym_name = "S1", domain = "{ [i0, i1, i2] : 0 <= i0 < 5 and 0 <= i1 < 12 and 0 <= i2 < 16 }", write = affine_map<(d0, d1, d2) -> (d0, d1)>, reads = [affine_map<(d0, d1, d2) -> (d0, d1)>, affine_map<(d0, d1, d2) -> (d0, d2)>, affine_map<(d0, d1, d2) -> (d1, d2)>], reduction = "add"}> ({
  ^bb0(%a: f32, %b: f32, %c: f32):
    %1 = arith.mulf %b, %c : f32
    %2 = arith.addf %a, %1 : f32
    "poly.yield"(%2) : (f32) -> ()
  }) : (memref<5x12xf32>, memref<5x12xf32>, memref<5x16xf32>, memref<12x16xf32>) -> ()
  "poly.statement"(%out, %t, %bias) <{sym_name = "S2", domain = "{ [i0, i1] : 0 <= i0 < 5 and 0 <= i1 < 12 }", write = affine_map<(d0, d1) -> (d0, d1)>, reads = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d1)>]}> ({
  ^bb0(%a: f32, %b: f32):
    %3 = arith.addf %a, %b : f32
    "poly.yield"(%3) : (f32) -> ()
  }) : (memref<5x12xf32>, memref<5x12xf32>, memref<12xf32>) -> ()
}) : () -> ()

// -----

// A sum of rows: lanes share a row.
// CHECK-LABEL: func.func @rows
// CHECK: "tile.launch"(%x, %out)
// CHECK: tile.load_global
// CHECK: "tile.reduce"(%{{.*}}) <{function = "add", dim = #builtin.int<1>}>
// CHECK: tile.store_global
"poly.scop"() <{sym_name = "rows", roles = ["in", "out"]}> ({
^bb0(%x: memref<5x16xf32>, %out: memref<5xf32>):
  "poly.statement"(%out) <{sym_name = "S0", domain = "{ [i0] : 0 <= i0 < 5 }", write = affine_map<(d0) -> (d0)>, reads = []}> ({
    %0 = arith.constant 0.000000e+00 : f32
    "poly.yield"(%0) : (f32) -> ()
  }) : (memref<5xf32>) -> ()
  "poly.statement"(%out, %out, %x) <{sym_name = "S1", domain = "{ [i0, i1] : 0 <= i0 < 5 and 0 <= i1 < 16 }", write = affine_map<(d0, d1) -> (d0)>, reads = [affine_map<(d0, d1) -> (d0)>, affine_map<(d0, d1) -> (d0, d1)>], reduction = "add"}> ({
  ^bb0(%a: f32, %b: f32):
    %1 = arith.addf %a, %b : f32
    "poly.yield"(%1) : (f32) -> ()
  }) : (memref<5xf32>, memref<5xf32>, memref<5x16xf32>) -> ()
}) : () -> ()

// -----

// What is neither stays a scop.
// CHECK-LABEL: "poly.scop"() <{sym_name = "map"
// CHECK-NOT: tile.launch
"poly.scop"() <{sym_name = "map", roles = ["in", "out"]}> ({
^bb0(%x: memref<5xf32>, %out: memref<5xf32>):
  "poly.statement"(%out, %x) <{sym_name = "S0", domain = "{ [i0] : 0 <= i0 < 5 }", write = affine_map<(d0) -> (d0)>, reads = [affine_map<(d0) -> (d0)>]}> ({
  ^bb0(%a: f32):
    %1 = arith.addf %a, %a : f32
    "poly.yield"(%1) : (f32) -> ()
  }) : (memref<5xf32>, memref<5xf32>) -> ()
}) : () -> ()
