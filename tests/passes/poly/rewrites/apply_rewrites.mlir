// RUN: tilecast-opt %s -p apply-rewrites --split-input-file | filecheck %s

// A condition makes a second statement, in the same loops.
"poly.scop"() <{sym_name = "k", roles = ["inout", "in", "in"], schedule = "split_domain(S0, i0 < 2, full)\0Asplit(S0.i1, 4, o, i)"}> ({
^bb0(%C: memref<4x5xf32>, %A: memref<4x6xf32>, %B: memref<6x5xf32>):
  "poly.statement"(%C, %C, %A, %B) <{sym_name = "S0", domain = "{ [i0, i1, i2] : 0 <= i0 < 4 and 0 <= i1 < 6 and 0 <= i2 < 5 }", write = affine_map<(i0, i1, i2) -> (i0, i2)>, reads = [affine_map<(i0, i1, i2) -> (i0, i2)>, affine_map<(i0, i1, i2) -> (i0, i1)>, affine_map<(i0, i1, i2) -> (i1, i2)>], reduction = "add"}> ({
  ^bb0(%a0: f32, %a1: f32, %a2: f32):
    %m = arith.mulf %a1, %a2 : f32
    %r = arith.addf %a0, %m : f32
    "poly.yield"(%r) : (f32) -> ()
  }) : (memref<4x5xf32>, memref<4x5xf32>, memref<4x6xf32>, memref<6x5xf32>) -> ()
}) : () -> ()

// CHECK:      schedule = "split(S0.i1, 4, o, i)"
// CHECK:      "poly.statement"(%C, %C, %A, %B) <{sym_name = "full", domain = "{ [i0, i1, i2] : 0 <= i0 <= 1 and 0 <= i1 <= 5 and 0 <= i2 <= 4 }"
// CHECK-SAME:   write = affine_map<(d0, d1, d2) -> (d0, d2)>
// CHECK-SAME:   reads = [affine_map<(d0, d1, d2) -> (d0, d2)>, affine_map<(d0, d1, d2) -> (d0, d1)>, affine_map<(d0, d1, d2) -> (d1, d2)>]
// CHECK-SAME:   reduction = "add"
// CHECK-SAME:   position = array<i64: 0, 0, 0, 0>
// CHECK:      "poly.statement"(%C, %C, %A, %B) <{sym_name = "S0", domain = "{ [i0, i1, i2] : 2 <= i0 <= 3 and 0 <= i1 <= 5 and 0 <= i2 <= 4 }"
// CHECK-SAME:   write = affine_map<(d0, d1, d2) -> (d0, d2)>
// CHECK-SAME:   reads = [affine_map<(d0, d1, d2) -> (d0, d2)>, affine_map<(d0, d1, d2) -> (d0, d1)>, affine_map<(d0, d1, d2) -> (d1, d2)>]
// CHECK-SAME:   reduction = "add"
// CHECK-SAME:   position = array<i64: 0, 0, 0, 1>

// -----

// Blocks of three iterations of i1 have a temporary of their own.
"poly.scop"() <{sym_name = "k", roles = ["inout", "in", "in"], schedule = "accumulate(S0, 1, 3)"}> ({
^bb0(%C: memref<4x5xf32>, %A: memref<4x6xf32>, %B: memref<6x5xf32>):
  "poly.statement"(%C, %C, %A, %B) <{sym_name = "S0", domain = "{ [i0, i1, i2] : 0 <= i0 < 4 and 0 <= i1 < 6 and 0 <= i2 < 5 }", write = affine_map<(i0, i1, i2) -> (i0, i2)>, reads = [affine_map<(i0, i1, i2) -> (i0, i2)>, affine_map<(i0, i1, i2) -> (i0, i1)>, affine_map<(i0, i1, i2) -> (i1, i2)>], reduction = "add"}> ({
  ^bb0(%a0: f32, %a1: f32, %a2: f32):
    %m = arith.mulf %a1, %a2 : f32
    %r = arith.addf %a0, %m : f32
    "poly.yield"(%r) : (f32) -> ()
  }) : (memref<4x5xf32>, memref<4x5xf32>, memref<4x6xf32>, memref<6x5xf32>) -> ()
}) : () -> ()

// CHECK:      schedule = ""
// CHECK:      %C_tile = "poly.array"() : () -> memref<2x4x5xf32>
// CHECK:      "poly.statement"(%C_tile, %C) <{sym_name = "S0_load", domain = "{ [i0, i1, i2] : (i1) mod 3 = 0 and 0 <= i0 <= 3 and -2 <= i1 <= 5 and 0 <= i2 <= 4 }"
// CHECK-SAME:   write = affine_map<(d0, d1, d2) -> ((d1 floordiv 3), d0, d2)>
// CHECK-SAME:   reads = [affine_map<(d0, d1, d2) -> (d0, d2)>]
// CHECK-SAME:   position = array<i64: 0, 0, 0, 0>
// CHECK:      "poly.statement"(%C_tile, %C_tile, %A, %B) <{sym_name = "S0", domain = "{ [i0, i1, i2] : 0 <= i0 < 4 and 0 <= i1 < 6 and 0 <= i2 < 5 }"
// CHECK-SAME:   write = affine_map<(d0, d1, d2) -> ((d1 floordiv 3), d0, d2)>
// CHECK-SAME:   reads = [affine_map<(d0, d1, d2) -> ((d1 floordiv 3), d0, d2)>, affine_map<(d0, d1, d2) -> (d0, d1)>, affine_map<(d0, d1, d2) -> (d1, d2)>]
// CHECK-SAME:   reduction = "add"
// CHECK-SAME:   position = array<i64: 0, 0, 0, 1>
// CHECK:      "poly.statement"(%C, %C_tile) <{sym_name = "S0_store", domain = "{ [i0, i1, i2] : (1 + i1) mod 3 = 0 and 0 <= i0 <= 3 and 0 <= i1 <= 7 and 0 <= i2 <= 4 }"
// CHECK-SAME:   write = affine_map<(d0, d1, d2) -> (d0, d2)>
// CHECK-SAME:   reads = [affine_map<(d0, d1, d2) -> ((d1 floordiv 3), d0, d2)>]
// CHECK-SAME:   position = array<i64: 0, 0, 0, 2>

// -----

// One block needs no block index.
"poly.scop"() <{sym_name = "k", roles = ["inout", "in", "in"], schedule = "accumulate(S0, 1, 6)"}> ({
^bb0(%C: memref<4x5xf32>, %A: memref<4x6xf32>, %B: memref<6x5xf32>):
  "poly.statement"(%C, %C, %A, %B) <{sym_name = "S0", domain = "{ [i0, i1, i2] : 0 <= i0 < 4 and 0 <= i1 < 6 and 0 <= i2 < 5 }", write = affine_map<(i0, i1, i2) -> (i0, i2)>, reads = [affine_map<(i0, i1, i2) -> (i0, i2)>, affine_map<(i0, i1, i2) -> (i0, i1)>, affine_map<(i0, i1, i2) -> (i1, i2)>], reduction = "add"}> ({
  ^bb0(%a0: f32, %a1: f32, %a2: f32):
    %m = arith.mulf %a1, %a2 : f32
    %r = arith.addf %a0, %m : f32
    "poly.yield"(%r) : (f32) -> ()
  }) : (memref<4x5xf32>, memref<4x5xf32>, memref<4x6xf32>, memref<6x5xf32>) -> ()
}) : () -> ()

// CHECK:      schedule = ""
// CHECK:      %C_tile = "poly.array"() : () -> memref<4x5xf32>
// CHECK:      "poly.statement"(%C_tile, %C) <{sym_name = "S0_load", domain = "{ [i0, i1 = 0, i2] : 0 <= i0 <= 3 and 0 <= i2 <= 4 }"
// CHECK-SAME:   write = affine_map<(d0, d1, d2) -> (d0, d2)>
// CHECK-SAME:   reads = [affine_map<(d0, d1, d2) -> (d0, d2)>]
// CHECK-SAME:   position = array<i64: 0, 0, 0, 0>
// CHECK:      "poly.statement"(%C_tile, %C_tile, %A, %B) <{sym_name = "S0", domain = "{ [i0, i1, i2] : 0 <= i0 < 4 and 0 <= i1 < 6 and 0 <= i2 < 5 }"
// CHECK-SAME:   write = affine_map<(d0, d1, d2) -> (d0, d2)>
// CHECK-SAME:   reads = [affine_map<(d0, d1, d2) -> (d0, d2)>, affine_map<(d0, d1, d2) -> (d0, d1)>, affine_map<(d0, d1, d2) -> (d1, d2)>]
// CHECK-SAME:   reduction = "add"
// CHECK-SAME:   position = array<i64: 0, 0, 0, 1>
// CHECK:      "poly.statement"(%C, %C_tile) <{sym_name = "S0_store", domain = "{ [i0, i1 = 5, i2] : 0 <= i0 <= 3 and 0 <= i2 <= 4 }"
// CHECK-SAME:   write = affine_map<(d0, d1, d2) -> (d0, d2)>
// CHECK-SAME:   reads = [affine_map<(d0, d1, d2) -> (d0, d2)>]
// CHECK-SAME:   position = array<i64: 0, 0, 0, 2>

// -----

// The copy stands in front; its last dim is the place in the panel.
"poly.scop"() <{sym_name = "k", roles = ["inout", "in", "in"], schedule = "pack(S0, 2, 1, 4)"}> ({
^bb0(%C: memref<4x5xf32>, %A: memref<4x6xf32>, %B: memref<6x5xf32>):
  "poly.statement"(%C, %C, %A, %B) <{sym_name = "S0", domain = "{ [i0, i1, i2] : 0 <= i0 < 4 and 0 <= i1 < 6 and 0 <= i2 < 5 }", write = affine_map<(i0, i1, i2) -> (i0, i2)>, reads = [affine_map<(i0, i1, i2) -> (i0, i2)>, affine_map<(i0, i1, i2) -> (i0, i1)>, affine_map<(i0, i1, i2) -> (i1, i2)>], reduction = "add"}> ({
  ^bb0(%a0: f32, %a1: f32, %a2: f32):
    %m = arith.mulf %a1, %a2 : f32
    %r = arith.addf %a0, %m : f32
    "poly.yield"(%r) : (f32) -> ()
  }) : (memref<4x5xf32>, memref<4x5xf32>, memref<4x6xf32>, memref<6x5xf32>) -> ()
}) : () -> ()

// CHECK:      schedule = ""
// CHECK:      %B_panel = "poly.array"() : () -> memref<2x6x4xf32>
// CHECK:      "poly.statement"(%B_panel, %B) <{sym_name = "S0_pack2", domain = "{ [i0, i1] : 0 <= i0 <= 5 and 0 <= i1 <= 4 }"
// CHECK-SAME:   write = affine_map<(d0, d1) -> ((d1 floordiv 4), d0, (d1 mod 4))>
// CHECK-SAME:   reads = [affine_map<(d0, d1) -> (d0, d1)>]
// CHECK:      "poly.statement"(%C, %C, %A, %B_panel) <{sym_name = "S0", domain = "{ [i0, i1, i2] : 0 <= i0 < 4 and 0 <= i1 < 6 and 0 <= i2 < 5 }"
// CHECK-SAME:   write = affine_map<(d0, d1, d2) -> (d0, d2)>
// CHECK-SAME:   reads = [affine_map<(d0, d1, d2) -> (d0, d2)>, affine_map<(d0, d1, d2) -> (d0, d1)>, affine_map<(d0, d1, d2) -> ((d2 floordiv 4), d1, (d2 mod 4))>]
// CHECK-SAME:   reduction = "add"

// -----

// Lanes start neutral, and are added up at the end.
"poly.scop"() <{sym_name = "k", roles = ["inout", "in", "in"], schedule = "rfactor(S0, 1, 2)"}> ({
^bb0(%C: memref<4x5xf32>, %A: memref<4x6xf32>, %B: memref<6x5xf32>):
  "poly.statement"(%C, %C, %A, %B) <{sym_name = "S0", domain = "{ [i0, i1, i2] : 0 <= i0 < 4 and 0 <= i1 < 6 and 0 <= i2 < 5 }", write = affine_map<(i0, i1, i2) -> (i0, i2)>, reads = [affine_map<(i0, i1, i2) -> (i0, i2)>, affine_map<(i0, i1, i2) -> (i0, i1)>, affine_map<(i0, i1, i2) -> (i1, i2)>], reduction = "add"}> ({
  ^bb0(%a0: f32, %a1: f32, %a2: f32):
    %m = arith.mulf %a1, %a2 : f32
    %r = arith.addf %a0, %m : f32
    "poly.yield"(%r) : (f32) -> ()
  }) : (memref<4x5xf32>, memref<4x5xf32>, memref<4x6xf32>, memref<6x5xf32>) -> ()
}) : () -> ()

// CHECK:      schedule = ""
// CHECK:      %C_lanes = "poly.array"() : () -> memref<4x5x2xf32>
// CHECK:      "poly.statement"(%C_lanes) <{sym_name = "S0_zero", domain = "{ [i0, i1 = 0, i2, i3] : 0 <= i0 <= 3 and 0 <= i2 <= 4 and 0 <= i3 <= 1 }"
// CHECK-SAME:   write = affine_map<(d0, d1, d2, d3) -> (d0, d2, d3)>
// CHECK-SAME:   reads = []
// CHECK-SAME:   position = array<i64: 0, 0, 0, 0, 0>
// CHECK:      "poly.statement"(%C_lanes, %C_lanes, %A, %B) <{sym_name = "S0", domain = "{ [i0, i1, i2] : 0 <= i0 < 4 and 0 <= i1 < 6 and 0 <= i2 < 5 }"
// CHECK-SAME:   write = affine_map<(d0, d1, d2) -> (d0, d2, (d1 mod 2))>
// CHECK-SAME:   reads = [affine_map<(d0, d1, d2) -> (d0, d2, (d1 mod 2))>, affine_map<(d0, d1, d2) -> (d0, d1)>, affine_map<(d0, d1, d2) -> (d1, d2)>]
// CHECK-SAME:   reduction = "add"
// CHECK-SAME:   position = array<i64: 0, 0, 0, 1>
// CHECK:      "poly.statement"(%C, %C, %C_lanes) <{sym_name = "S0_lanes", domain = "{ [i0, i1 = 5, i2, i3] : 0 <= i0 <= 3 and 0 <= i2 <= 4 and 0 <= i3 <= 1 }"
// CHECK-SAME:   write = affine_map<(d0, d1, d2, d3) -> (d0, d2)>
// CHECK-SAME:   reads = [affine_map<(d0, d1, d2, d3) -> (d0, d2)>, affine_map<(d0, d1, d2, d3) -> (d0, d2, d3)>]
// CHECK-SAME:   reduction = "add"
// CHECK-SAME:   position = array<i64: 0, 0, 0, 2, 0>

// -----

// Two values of one scalar: two arrays, an element per iteration.
"poly.scop"() <{sym_name = "k", roles = ["in", "out", "out"], schedule = "expand(t, 1)"}> ({
^bb0(%x: memref<8xf32>, %y: memref<8xf32>, %z: memref<8xf32>):
  %t = "poly.array"() : () -> memref<f32>
  "poly.statement"(%t, %x) <{sym_name = "S0", domain = "{ [i0] : 0 <= i0 < 8 }", write = affine_map<(i0) -> ()>, reads = [affine_map<(i0) -> (i0)>], position = array<i64: 0, 0>}> ({
  ^bb0(%a0: f32):
    "poly.yield"(%a0) : (f32) -> ()
  }) : (memref<f32>, memref<8xf32>) -> ()
  "poly.statement"(%y, %t, %x) <{sym_name = "S1", domain = "{ [i0] : 0 <= i0 < 8 }", write = affine_map<(i0) -> (i0)>, reads = [affine_map<(i0) -> ()>, affine_map<(i0) -> (i0)>], position = array<i64: 0, 1>}> ({
  ^bb0(%a0: f32, %a1: f32):
    %r = arith.addf %a0, %a1 : f32
    "poly.yield"(%r) : (f32) -> ()
  }) : (memref<8xf32>, memref<f32>, memref<8xf32>) -> ()
  "poly.statement"(%t, %y) <{sym_name = "S2", domain = "{ [i0] : 0 <= i0 < 8 }", write = affine_map<(i0) -> ()>, reads = [affine_map<(i0) -> (i0)>], position = array<i64: 1, 0>}> ({
  ^bb0(%a0: f32):
    "poly.yield"(%a0) : (f32) -> ()
  }) : (memref<f32>, memref<8xf32>) -> ()
  "poly.statement"(%z, %t, %y) <{sym_name = "S3", domain = "{ [i0] : 0 <= i0 < 8 }", write = affine_map<(i0) -> (i0)>, reads = [affine_map<(i0) -> ()>, affine_map<(i0) -> (i0)>], position = array<i64: 1, 1>}> ({
  ^bb0(%a0: f32, %a1: f32):
    %r = arith.addf %a0, %a1 : f32
    "poly.yield"(%r) : (f32) -> ()
  }) : (memref<8xf32>, memref<f32>, memref<8xf32>) -> ()
}) : () -> ()

// CHECK:      schedule = ""
// CHECK:      %t = "poly.array"() : () -> memref<8xf32>
// CHECK:      %t_1 = "poly.array"() : () -> memref<8xf32>
// CHECK:      "poly.statement"(%t, %x) <{sym_name = "S0", domain = "{ [i0] : 0 <= i0 < 8 }"
// CHECK-SAME:   write = affine_map<(d0) -> (d0)>
// CHECK-SAME:   reads = [affine_map<(d0) -> (d0)>]
// CHECK-SAME:   position = array<i64: 0, 0>
// CHECK:      "poly.statement"(%y, %t, %x) <{sym_name = "S1", domain = "{ [i0] : 0 <= i0 < 8 }"
// CHECK-SAME:   write = affine_map<(d0) -> (d0)>
// CHECK-SAME:   reads = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>]
// CHECK-SAME:   position = array<i64: 0, 1>
// CHECK:      "poly.statement"(%t_1, %y) <{sym_name = "S2", domain = "{ [i0] : 0 <= i0 < 8 }"
// CHECK-SAME:   write = affine_map<(d0) -> (d0)>
// CHECK-SAME:   reads = [affine_map<(d0) -> (d0)>]
// CHECK-SAME:   position = array<i64: 1, 0>
// CHECK:      "poly.statement"(%z, %t_1, %y) <{sym_name = "S3", domain = "{ [i0] : 0 <= i0 < 8 }"
// CHECK-SAME:   write = affine_map<(d0) -> (d0)>
// CHECK-SAME:   reads = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>]
// CHECK-SAME:   position = array<i64: 1, 1>

// -----

// Each block of the consumer has its producer, which overlaps the next one's.
"poly.scop"() <{sym_name = "k", roles = ["in", "out"], schedule = "recompute(S0, S1, 4)"}> ({
^bb0(%x: memref<10xf32>, %y: memref<8xf32>):
  %t = "poly.array"() : () -> memref<9xf32>
  "poly.statement"(%t, %x, %x) <{sym_name = "S0", domain = "{ [i0] : 0 <= i0 < 9 }", write = affine_map<(i0) -> (i0)>, reads = [affine_map<(i0) -> (i0)>, affine_map<(i0) -> (i0 + 1)>]}> ({
  ^bb0(%a0: f32, %a1: f32):
    %r = arith.addf %a0, %a1 : f32
    "poly.yield"(%r) : (f32) -> ()
  }) : (memref<9xf32>, memref<10xf32>, memref<10xf32>) -> ()
  "poly.statement"(%y, %t, %t) <{sym_name = "S1", domain = "{ [i0] : 0 <= i0 < 8 }", write = affine_map<(i0) -> (i0)>, reads = [affine_map<(i0) -> (i0)>, affine_map<(i0) -> (i0 + 1)>]}> ({
  ^bb0(%a0: f32, %a1: f32):
    %r = arith.addf %a0, %a1 : f32
    "poly.yield"(%r) : (f32) -> ()
  }) : (memref<8xf32>, memref<9xf32>, memref<9xf32>) -> ()
}) : () -> ()

// CHECK:      schedule = ""
// CHECK:      %t = "poly.array"() : () -> memref<2x9xf32>
// CHECK:      "poly.statement"(%t, %x, %x) <{sym_name = "S0", domain = "{ [i0, i1] : -3 <= 4i0 <= 7 and i1 >= 4i0 and 0 <= i1 <= 8 and i1 <= 4 + 4i0 }"
// CHECK-SAME:   write = affine_map<(d0, d1) -> (d0, d1)>
// CHECK-SAME:   reads = [affine_map<(d0, d1) -> (d1)>, affine_map<(d0, d1) -> ((d1 + 1))>]
// CHECK:      "poly.statement"(%y, %t, %t) <{sym_name = "S1", domain = "{ [i0] : 0 <= i0 < 8 }"
// CHECK-SAME:   write = affine_map<(d0) -> (d0)>
// CHECK-SAME:   reads = [affine_map<(d0) -> ((d0 floordiv 4), d0)>, affine_map<(d0) -> ((d0 floordiv 4), (d0 + 1))>]

// -----

// The writer fills what was added, the reader stays.
"poly.scop"() <{sym_name = "k", roles = ["in", "out"], schedule = "pad(t, 1, 4)"}> ({
^bb0(%x: memref<3xf32>, %y: memref<3x5xf32>):
  %t = "poly.array"() : () -> memref<3x5xf32>
  "poly.statement"(%t, %x) <{sym_name = "S0", domain = "{ [i0, i1] : 0 <= i0 < 3 and 0 <= i1 < 5 }", write = affine_map<(i0, i1) -> (i0, i1)>, reads = [affine_map<(i0, i1) -> (i0)>]}> ({
  ^bb0(%a0: f32):
    "poly.yield"(%a0) : (f32) -> ()
  }) : (memref<3x5xf32>, memref<3xf32>) -> ()
  "poly.statement"(%y, %t) <{sym_name = "S1", domain = "{ [i0, i1] : 0 <= i0 < 3 and 0 <= i1 < 5 }", write = affine_map<(i0, i1) -> (i0, i1)>, reads = [affine_map<(i0, i1) -> (i0, i1)>]}> ({
  ^bb0(%a0: f32):
    "poly.yield"(%a0) : (f32) -> ()
  }) : (memref<3x5xf32>, memref<3x5xf32>) -> ()
}) : () -> ()

// CHECK:      schedule = ""
// CHECK:      %t = "poly.array"() : () -> memref<3x8xf32>
// CHECK:      "poly.statement"(%t, %x) <{sym_name = "S0", domain = "{ [i0, i1] : 0 <= i0 <= 2 and 0 <= i1 <= 7 }"
// CHECK-SAME:   write = affine_map<(d0, d1) -> (d0, d1)>
// CHECK-SAME:   reads = [affine_map<(d0, d1) -> (d0)>]
// CHECK:      "poly.statement"(%y, %t) <{sym_name = "S1", domain = "{ [i0, i1] : 0 <= i0 < 3 and 0 <= i1 < 5 }"
// CHECK-SAME:   write = affine_map<(d0, d1) -> (d0, d1)>
// CHECK-SAME:   reads = [affine_map<(d0, d1) -> (d0, d1)>]

// -----

// What depends on two dims is computed once for them.
"poly.scop"() <{sym_name = "k", roles = ["inout", "in", "in", "in"], schedule = "precompute(S0, 0+1)"}> ({
^bb0(%C: memref<4x5xf32>, %A: memref<4x6xf32>, %B: memref<6x5xf32>, %al: memref<f32>):
  "poly.statement"(%C, %C, %A, %B, %al) <{sym_name = "S0", domain = "{ [i0, i1, i2] : 0 <= i0 < 4 and 0 <= i1 < 6 and 0 <= i2 < 5 }", write = affine_map<(i0, i1, i2) -> (i0, i2)>, reads = [affine_map<(i0, i1, i2) -> (i0, i2)>, affine_map<(i0, i1, i2) -> (i0, i1)>, affine_map<(i0, i1, i2) -> (i1, i2)>, affine_map<(i0, i1, i2) -> ()>], reduction = "add"}> ({
  ^bb0(%a0: f32, %a1: f32, %a2: f32, %a3: f32):
    %n = arith.mulf %a3, %a1 : f32
    %m = arith.mulf %n, %a2 : f32
    %r = arith.addf %a0, %m : f32
    "poly.yield"(%r) : (f32) -> ()
  }) : (memref<4x5xf32>, memref<4x5xf32>, memref<4x6xf32>, memref<6x5xf32>, memref<f32>) -> ()
}) : () -> ()

// CHECK:      schedule = ""
// CHECK:      %S0_pre0 = "poly.array"() : () -> memref<4x6xf32>
// CHECK:      "poly.statement"(%S0_pre0, %A, %al) <{sym_name = "S0_pre0", domain = "{ [i0, i1] : 0 <= i0 <= 3 and 0 <= i1 <= 5 }"
// CHECK-SAME:   write = affine_map<(d0, d1) -> (d0, d1)>
// CHECK-SAME:   reads = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> ()>]
// CHECK:      "poly.statement"(%C, %C, %B, %S0_pre0) <{sym_name = "S0", domain = "{ [i0, i1, i2] : 0 <= i0 < 4 and 0 <= i1 < 6 and 0 <= i2 < 5 }"
// CHECK-SAME:   write = affine_map<(d0, d1, d2) -> (d0, d2)>
// CHECK-SAME:   reads = [affine_map<(d0, d1, d2) -> (d0, d2)>, affine_map<(d0, d1, d2) -> (d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1)>]
// CHECK-SAME:   reduction = "add"
