// RUN: tilecast-opt %s

// EXPECT-ERROR: one role per array argument
"poly.scop"() <{sym_name = "k", roles = ["in"]}> ({
^bb0(%x: memref<4xf32>, %y: memref<4xf32>):
  "poly.statement"(%y, %x) <{sym_name = "S0", domain = "{ [i0] : 0 <= i0 < 4 }", write = affine_map<(d0) -> (d0)>, reads = [affine_map<(d0) -> (d0)>]}> ({
  ^bb0(%a: f32):
    "poly.yield"(%a) : (f32) -> ()
  }) : (memref<4xf32>, memref<4xf32>) -> ()
}) : () -> ()

// -----

// EXPECT-ERROR: expected one access and one body argument per source, got 1 sources, 2 accesses, 1 arguments
"poly.scop"() <{sym_name = "k", roles = ["in", "out"]}> ({
^bb0(%x: memref<4xf32>, %y: memref<4xf32>):
  "poly.statement"(%y, %x) <{sym_name = "S0", domain = "{ [i0] : 0 <= i0 < 4 }", write = affine_map<(d0) -> (d0)>, reads = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>]}> ({
  ^bb0(%a: f32):
    "poly.yield"(%a) : (f32) -> ()
  }) : (memref<4xf32>, memref<4xf32>) -> ()
}) : () -> ()

// -----

// EXPECT-ERROR: access (d0) -> (d0, d0) does not take 1 dims to memref<4xf32>
"poly.scop"() <{sym_name = "k", roles = ["in", "out"]}> ({
^bb0(%x: memref<4xf32>, %y: memref<4xf32>):
  "poly.statement"(%y, %x) <{sym_name = "S0", domain = "{ [i0] : 0 <= i0 < 4 }", write = affine_map<(d0) -> (d0, d0)>, reads = [affine_map<(d0) -> (d0)>]}> ({
  ^bb0(%a: f32):
    "poly.yield"(%a) : (f32) -> ()
  }) : (memref<4xf32>, memref<4xf32>) -> ()
}) : () -> ()

// -----

// EXPECT-ERROR: does not take 1 dims to memref<4xf32>
"poly.scop"() <{sym_name = "k", roles = ["in", "out"]}> ({
^bb0(%x: memref<4xf32>, %y: memref<4xf32>):
  "poly.statement"(%y, %x) <{sym_name = "S0", domain = "{ [i0] : 0 <= i0 < 4 }", write = affine_map<(d0) -> (d0)>, reads = [affine_map<(d0, d1) -> (d0)>]}> ({
  ^bb0(%a: f32):
    "poly.yield"(%a) : (f32) -> ()
  }) : (memref<4xf32>, memref<4xf32>) -> ()
}) : () -> ()

// -----

// EXPECT-ERROR: unknown reduction sub
"poly.scop"() <{sym_name = "k", roles = ["in", "out"]}> ({
^bb0(%x: memref<4xf32>, %y: memref<4xf32>):
  "poly.statement"(%y, %y) <{sym_name = "S0", domain = "{ [i0] : 0 <= i0 < 4 }", write = affine_map<(d0) -> (d0)>, reads = [affine_map<(d0) -> (d0)>], reduction = "sub"}> ({
  ^bb0(%a: f32):
    "poly.yield"(%a) : (f32) -> ()
  }) : (memref<4xf32>, memref<4xf32>) -> ()
}) : () -> ()

// -----

// EXPECT-ERROR: a reduction reads its own element as the first source
"poly.scop"() <{sym_name = "k", roles = ["in", "out"]}> ({
^bb0(%x: memref<4xf32>, %y: memref<4xf32>):
  "poly.statement"(%y, %x) <{sym_name = "S0", domain = "{ [i0] : 0 <= i0 < 4 }", write = affine_map<(d0) -> (d0)>, reads = [affine_map<(d0) -> (d0)>], reduction = "add"}> ({
  ^bb0(%a: f32):
    "poly.yield"(%a) : (f32) -> ()
  }) : (memref<4xf32>, memref<4xf32>) -> ()
}) : () -> ()

// -----

// EXPECT-ERROR: two statements have one name: S0, S0
"poly.scop"() <{sym_name = "k", roles = ["in", "out"]}> ({
^bb0(%x: memref<4xf32>, %y: memref<4xf32>):
  "poly.statement"(%y, %x) <{sym_name = "S0", domain = "{ [i0] : 0 <= i0 < 4 }", write = affine_map<(d0) -> (d0)>, reads = [affine_map<(d0) -> (d0)>]}> ({
  ^bb0(%a: f32):
    "poly.yield"(%a) : (f32) -> ()
  }) : (memref<4xf32>, memref<4xf32>) -> ()
  "poly.statement"(%y, %x) <{sym_name = "S0", domain = "{ [i0] : 0 <= i0 < 4 }", write = affine_map<(d0) -> (d0)>, reads = [affine_map<(d0) -> (d0)>]}> ({
  ^bb0(%a: f32):
    "poly.yield"(%a) : (f32) -> ()
  }) : (memref<4xf32>, memref<4xf32>) -> ()
}) : () -> ()

// -----

// EXPECT-ERROR: poly.nothing
"poly.scop"() <{sym_name = "k", roles = ["in", "out"]}> ({
^bb0(%x: memref<4xf32>, %y: memref<4xf32>):
  "poly.nothing"() : () -> ()
}) : () -> ()
