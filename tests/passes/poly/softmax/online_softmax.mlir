// RUN: tilecast-opt %s -p "online-softmax{size=3}" | filecheck %s

// Five keys in blocks of three: maxima, exponentials and sums per block, totals rescaled between.
"poly.scop"() <{sym_name = "k", roles = ["in", "in", "in", "out"], packs = [unit, unit, unit, unit]}> ({
^bb0(%q: memref<2x3x2xf32>, %k: memref<2x5x2xf32>, %v: memref<2x5x2xf32>, %out: memref<2x3x2xf32>):
  %t0 = "poly.array"() : () -> memref<2x3x5xf32>
  "poly.statement"(%t0) <{sym_name = "S0", domain = "{ [i0, i1, i2] : 0 <= i0 < 2 and 0 <= i1 < 3 and 0 <= i2 < 5 }", write = affine_map<(d0, d1, d2) -> (d0, d1, d2)>, reads = []}> ({
    %0 = arith.constant 0.000000e+00 : f32
    "poly.yield"(%0) : (f32) -> ()
  }) : (memref<2x3x5xf32>) -> ()
  "poly.statement"(%t0, %t0, %q, %k) <{sym_name = "S1", domain = "{ [i0, i1, i2, i3] : 0 <= i0 < 2 and 0 <= i1 < 3 and 0 <= i2 < 5 and 0 <= i3 < 2 }", write = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2)>, reads = [affine_map<(d0, d1, d2, d3) -> (d0, d1, d2)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d2, d3)>], reduction = "add"}> ({
  ^bb0(%1: f32, %2: f32, %3: f32):
    %4 = arith.mulf %2, %3 : f32
    %5 = arith.addf %1, %4 : f32
    "poly.yield"(%5) : (f32) -> ()
  }) : (memref<2x3x5xf32>, memref<2x3x5xf32>, memref<2x3x2xf32>, memref<2x5x2xf32>) -> ()
  %t2 = "poly.array"() : () -> memref<2x3x5xf32>
  "poly.statement"(%t2, %t0) <{sym_name = "S2", domain = "{ [i0, i1, i2] : 0 <= i0 < 2 and 0 <= i1 < 3 and 0 <= i2 < 5 }", write = affine_map<(d0, d1, d2) -> (d0, d1, d2)>, reads = [affine_map<(d0, d1, d2) -> (d0, d1, d2)>]}> ({
  ^bb0(%6: f32):
    %7 = arith.constant 5.000000e-01 : f32
    %8 = arith.mulf %6, %7 : f32
    "poly.yield"(%8) : (f32) -> ()
  }) : (memref<2x3x5xf32>, memref<2x3x5xf32>) -> ()
  %t3 = "poly.array"() : () -> memref<2x3xf32>
  "poly.statement"(%t3) <{sym_name = "S3", domain = "{ [i0, i1] : 0 <= i0 < 2 and 0 <= i1 < 3 }", write = affine_map<(d0, d1) -> (d0, d1)>, reads = []}> ({
    %9 = arith.constant 0xff800000 : f32
    "poly.yield"(%9) : (f32) -> ()
  }) : (memref<2x3xf32>) -> ()
  "poly.statement"(%t3, %t3, %t2) <{sym_name = "S4", domain = "{ [i0, i1, i2] : 0 <= i0 < 2 and 0 <= i1 < 3 and 0 <= i2 < 5 }", write = affine_map<(d0, d1, d2) -> (d0, d1)>, reads = [affine_map<(d0, d1, d2) -> (d0, d1)>, affine_map<(d0, d1, d2) -> (d0, d1, d2)>], reduction = "max"}> ({
  ^bb0(%10: f32, %11: f32):
    %12 = arith.maximumf %10, %11 : f32
    "poly.yield"(%12) : (f32) -> ()
  }) : (memref<2x3xf32>, memref<2x3xf32>, memref<2x3x5xf32>) -> ()
  %t5 = "poly.array"() : () -> memref<2x3xf32>
  "poly.statement"(%t5, %t3) <{sym_name = "S5", domain = "{ [i0, i1] : 0 <= i0 < 2 and 0 <= i1 < 3 }", write = affine_map<(d0, d1) -> (d0, d1)>, reads = [affine_map<(d0, d1) -> (d0, d1)>]}> ({
  ^bb0(%13: f32):
    %14 = arith.constant 0xff800000 : f32
    %15 = arith.cmpf oeq, %13, %14 : f32
    %16 = arith.constant 0.000000e+00 : f32
    %17 = arith.select %15, %16, %13 : f32
    "poly.yield"(%17) : (f32) -> ()
  }) : (memref<2x3xf32>, memref<2x3xf32>) -> ()
  %t6 = "poly.array"() : () -> memref<2x3x5xf32>
  "poly.statement"(%t6, %t2, %t5) <{sym_name = "S6", domain = "{ [i0, i1, i2] : 0 <= i0 < 2 and 0 <= i1 < 3 and 0 <= i2 < 5 }", write = affine_map<(d0, d1, d2) -> (d0, d1, d2)>, reads = [affine_map<(d0, d1, d2) -> (d0, d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1)>]}> ({
  ^bb0(%18: f32, %19: f32):
    %20 = arith.subf %18, %19 : f32
    %21 = math.exp %20 : f32
    "poly.yield"(%21) : (f32) -> ()
  }) : (memref<2x3x5xf32>, memref<2x3x5xf32>, memref<2x3xf32>) -> ()
  %t7 = "poly.array"() : () -> memref<2x3xf32>
  "poly.statement"(%t7) <{sym_name = "S7", domain = "{ [i0, i1] : 0 <= i0 < 2 and 0 <= i1 < 3 }", write = affine_map<(d0, d1) -> (d0, d1)>, reads = []}> ({
    %22 = arith.constant 0.000000e+00 : f32
    "poly.yield"(%22) : (f32) -> ()
  }) : (memref<2x3xf32>) -> ()
  "poly.statement"(%t7, %t7, %t6) <{sym_name = "S8", domain = "{ [i0, i1, i2] : 0 <= i0 < 2 and 0 <= i1 < 3 and 0 <= i2 < 5 }", write = affine_map<(d0, d1, d2) -> (d0, d1)>, reads = [affine_map<(d0, d1, d2) -> (d0, d1)>, affine_map<(d0, d1, d2) -> (d0, d1, d2)>], reduction = "add"}> ({
  ^bb0(%23: f32, %24: f32):
    %25 = arith.addf %23, %24 : f32
    "poly.yield"(%25) : (f32) -> ()
  }) : (memref<2x3xf32>, memref<2x3xf32>, memref<2x3x5xf32>) -> ()
  %t9 = "poly.array"() : () -> memref<2x3xf32>
  "poly.statement"(%t9, %t7) <{sym_name = "S9", domain = "{ [i0, i1] : 0 <= i0 < 2 and 0 <= i1 < 3 }", write = affine_map<(d0, d1) -> (d0, d1)>, reads = [affine_map<(d0, d1) -> (d0, d1)>]}> ({
  ^bb0(%26: f32):
    %27 = arith.constant 0.000000e+00 : f32
    %28 = arith.cmpf oeq, %26, %27 : f32
    %29 = arith.constant 1.000000e+00 : f32
    %30 = arith.divf %29, %26 : f32
    %31 = arith.select %28, %27, %30 : f32
    "poly.yield"(%31) : (f32) -> ()
  }) : (memref<2x3xf32>, memref<2x3xf32>) -> ()
  %t10 = "poly.array"() : () -> memref<2x3x2xf32>
  "poly.statement"(%t10) <{sym_name = "S10", domain = "{ [i0, i1, i2] : 0 <= i0 < 2 and 0 <= i1 < 3 and 0 <= i2 < 2 }", write = affine_map<(d0, d1, d2) -> (d0, d1, d2)>, reads = []}> ({
    %32 = arith.constant 0.000000e+00 : f32
    "poly.yield"(%32) : (f32) -> ()
  }) : (memref<2x3x2xf32>) -> ()
  "poly.statement"(%t10, %t10, %t6, %v) <{sym_name = "S11", domain = "{ [i0, i1, i2, i3] : 0 <= i0 < 2 and 0 <= i1 < 3 and 0 <= i2 < 2 and 0 <= i3 < 5 }", write = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2)>, reads = [affine_map<(d0, d1, d2, d3) -> (d0, d1, d2)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d3, d2)>], reduction = "add"}> ({
  ^bb0(%33: f32, %34: f32, %35: f32):
    %36 = arith.mulf %34, %35 : f32
    %37 = arith.addf %33, %36 : f32
    "poly.yield"(%37) : (f32) -> ()
  }) : (memref<2x3x2xf32>, memref<2x3x2xf32>, memref<2x3x5xf32>, memref<2x5x2xf32>) -> ()
  "poly.statement"(%out, %t10, %t9) <{sym_name = "S12", domain = "{ [i0, i1, i2] : 0 <= i0 < 2 and 0 <= i1 < 3 and 0 <= i2 < 2 }", write = affine_map<(d0, d1, d2) -> (d0, d1, d2)>, reads = [affine_map<(d0, d1, d2) -> (d0, d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1)>]}> ({
  ^bb0(%38: f32, %39: f32):
    %40 = arith.mulf %38, %39 : f32
    "poly.yield"(%40) : (f32) -> ()
  }) : (memref<2x3x2xf32>, memref<2x3x2xf32>, memref<2x3xf32>) -> ()
}) : () -> ()

// CHECK:      %t0 = "poly.array"() : () -> memref<2x3x5xf32>
// CHECK:      %t3_before = "poly.array"() : () -> memref<3x2x3xf32>
// CHECK:      %t3_block = "poly.array"() : () -> memref<2x2x3xf32>
// CHECK:      "poly.statement"(%t3_before) <{sym_name = "S3", domain = "{ [i0, i1] : 0 <= i0 < 2 and 0 <= i1 < 3 }", write = affine_map<(d0, d1) -> (0, d0, d1)>, reads = []}> ({
// CHECK:      %t5_block = "poly.array"() : () -> memref<2x2x3xf32>
// CHECK:      %t5_scale = "poly.array"() : () -> memref<2x2x3xf32>
// CHECK:      %t7_block = "poly.array"() : () -> memref<2x2x3xf32>
// CHECK:      %t7 = "poly.array"() : () -> memref<2x3xf32>
// CHECK:      "poly.statement"(%t7) <{sym_name = "S7", domain = "{ [i0, i1] : 0 <= i0 < 2 and 0 <= i1 < 3 }", write = affine_map<(d0, d1) -> (d0, d1)>, reads = []}> ({
// CHECK:      %t10_block = "poly.array"() : () -> memref<2x2x3x2xf32>
// CHECK:      %t10 = "poly.array"() : () -> memref<2x3x2xf32>
// CHECK:      "poly.statement"(%t10) <{sym_name = "S10", domain = "{ [i0, i1, i2] : 0 <= i0 < 2 and 0 <= i1 < 3 and 0 <= i2 < 2 }", write = affine_map<(d0, d1, d2) -> (d0, d1, d2)>, reads = []}> ({
// CHECK:      "poly.statement"(%t0) <{sym_name = "S0", domain = "{ [i0, i1, i2] : 0 <= i0 < 2 and 0 <= i1 < 3 and 0 <= i2 < 5 }", write = affine_map<(d0, d1, d2) -> (d0, d1, d2)>, reads = []}> ({
// CHECK:      "poly.statement"(%t0, %t0, %q, %k) <{sym_name = "S1", domain = "{ [i0, i1, i2, i3] : 0 <= i0 < 2 and 0 <= i1 < 3 and 0 <= i2 < 5 and 0 <= i3 < 2 }", write = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2)>, reads = [affine_map<(d0, d1, d2, d3) -> (d0, d1, d2)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d2, d3)>], reduction = "add"}> ({
// CHECK:      arith.mulf
// CHECK:      arith.addf
// CHECK:      %t2 = "poly.array"() : () -> memref<2x3x5xf32>
// CHECK:      "poly.statement"(%t2, %t0) <{sym_name = "S2", domain = "{ [i0, i1, i2] : 0 <= i0 < 2 and 0 <= i1 < 3 and 0 <= i2 < 5 }", write = affine_map<(d0, d1, d2) -> (d0, d1, d2)>, reads = [affine_map<(d0, d1, d2) -> (d0, d1, d2)>]}> ({
// CHECK:      arith.mulf
// CHECK:      "poly.statement"(%t3_block) <{sym_name = "S4b", domain = "{ [i0, i1, i2] : 0 <= i0 < 2 and 0 <= i1 < 2 and 0 <= i2 < 3 }", write = affine_map<(d0, d1, d2) -> (d0, d1, d2)>, reads = []}> ({
// CHECK:      "poly.statement"(%t3_block, %t3_block, %t2) <{sym_name = "S4", domain = "{ [i0, i1, i2] : 0 <= i0 < 2 and 0 <= i1 < 3 and 0 <= i2 < 5 }", write = affine_map<(d0, d1, d2) -> ((d2 floordiv 3), d0, d1)>, reads = [affine_map<(d0, d1, d2) -> ((d2 floordiv 3), d0, d1)>, affine_map<(d0, d1, d2) -> (d0, d1, d2)>], reduction = "max"}> ({
// CHECK:      arith.maximumf
// CHECK:      "poly.statement"(%t3_before, %t3_before, %t3_block) <{sym_name = "S4h", domain = "{ [i0, i1, i2] : 0 <= i0 < 2 and 0 <= i1 < 2 and 0 <= i2 < 3 }", write = affine_map<(d0, d1, d2) -> ((d0 + 1), d1, d2)>, reads = [affine_map<(d0, d1, d2) -> (d0, d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1, d2)>]}> ({
// CHECK:      arith.maximumf
// CHECK:      "poly.statement"(%t5_block, %t3_before) <{sym_name = "S5", domain = "{ [i0, i1, i2] : 0 <= i0 < 2 and 0 <= i1 < 2 and 0 <= i2 < 3 }", write = affine_map<(d0, d1, d2) -> (d0, d1, d2)>, reads = [affine_map<(d0, d1, d2) -> ((d0 + 1), d1, d2)>]}> ({
// CHECK:      "poly.statement"(%t5_scale, %t3_before, %t5_block) <{sym_name = "S5a", domain = "{ [i0, i1, i2] : 0 <= i0 < 2 and 0 <= i1 < 2 and 0 <= i2 < 3 }", write = affine_map<(d0, d1, d2) -> (d0, d1, d2)>, reads = [affine_map<(d0, d1, d2) -> (d0, d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1, d2)>]}> ({
// CHECK:      arith.subf
// CHECK:      math.exp
// CHECK:      %t6 = "poly.array"() : () -> memref<2x3x5xf32>
// CHECK:      "poly.statement"(%t6, %t2, %t5_block) <{sym_name = "S6", domain = "{ [i0, i1, i2] : 0 <= i0 < 2 and 0 <= i1 < 3 and 0 <= i2 < 5 }", write = affine_map<(d0, d1, d2) -> (d0, d1, d2)>, reads = [affine_map<(d0, d1, d2) -> (d0, d1, d2)>, affine_map<(d0, d1, d2) -> ((d2 floordiv 3), d0, d1)>]}> ({
// CHECK:      arith.subf
// CHECK:      math.exp
// CHECK:      "poly.statement"(%t7_block) <{sym_name = "S8b", domain = "{ [i0, i1, i2] : 0 <= i0 < 2 and 0 <= i1 < 2 and 0 <= i2 < 3 }", write = affine_map<(d0, d1, d2) -> (d0, d1, d2)>, reads = []}> ({
// CHECK:      "poly.statement"(%t7_block, %t7_block, %t6) <{sym_name = "S8", domain = "{ [i0, i1, i2] : 0 <= i0 < 2 and 0 <= i1 < 3 and 0 <= i2 < 5 }", write = affine_map<(d0, d1, d2) -> ((d2 floordiv 3), d0, d1)>, reads = [affine_map<(d0, d1, d2) -> ((d2 floordiv 3), d0, d1)>, affine_map<(d0, d1, d2) -> (d0, d1, d2)>], reduction = "add"}> ({
// CHECK:      arith.addf
// CHECK:      "poly.statement"(%t7, %t5_scale, %t7, %t7_block) <{sym_name = "S8t", domain = "{ [i0, i1, i2] : 0 <= i0 < 2 and 0 <= i1 < 2 and 0 <= i2 < 3 }", write = affine_map<(d0, d1, d2) -> (d1, d2)>, reads = [affine_map<(d0, d1, d2) -> (d0, d1, d2)>, affine_map<(d0, d1, d2) -> (d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1, d2)>]}> ({
// CHECK:      arith.mulf
// CHECK:      arith.addf
// CHECK:      "poly.statement"(%t10_block) <{sym_name = "S11b", domain = "{ [i0, i1, i2, i3] : 0 <= i0 < 2 and 0 <= i1 < 2 and 0 <= i2 < 3 and 0 <= i3 < 2 }", write = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>, reads = []}> ({
// CHECK:      "poly.statement"(%t10_block, %t10_block, %t6, %v) <{sym_name = "S11", domain = "{ [i0, i1, i2, i3] : 0 <= i0 < 2 and 0 <= i1 < 3 and 0 <= i2 < 2 and 0 <= i3 < 5 }", write = affine_map<(d0, d1, d2, d3) -> ((d3 floordiv 3), d0, d1, d2)>, reads = [affine_map<(d0, d1, d2, d3) -> ((d3 floordiv 3), d0, d1, d2)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d3, d2)>], reduction = "add"}> ({
// CHECK:      arith.mulf
// CHECK:      arith.addf
// CHECK:      "poly.statement"(%t10, %t5_scale, %t10, %t10_block) <{sym_name = "S11t", domain = "{ [i0, i1, i2, i3] : 0 <= i0 < 2 and 0 <= i1 < 2 and 0 <= i2 < 3 and 0 <= i3 < 2 }", write = affine_map<(d0, d1, d2, d3) -> (d1, d2, d3)>, reads = [affine_map<(d0, d1, d2, d3) -> (d0, d1, d2)>, affine_map<(d0, d1, d2, d3) -> (d1, d2, d3)>, affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>]}> ({
// CHECK:      arith.mulf
// CHECK:      arith.addf
// CHECK:      %t9 = "poly.array"() : () -> memref<2x3xf32>
// CHECK:      "poly.statement"(%t9, %t7) <{sym_name = "S9", domain = "{ [i0, i1] : 0 <= i0 < 2 and 0 <= i1 < 3 }", write = affine_map<(d0, d1) -> (d0, d1)>, reads = [affine_map<(d0, d1) -> (d0, d1)>]}> ({
// CHECK:      "poly.statement"(%out, %t10, %t9) <{sym_name = "S12", domain = "{ [i0, i1, i2] : 0 <= i0 < 2 and 0 <= i1 < 3 and 0 <= i2 < 2 }", write = affine_map<(d0, d1, d2) -> (d0, d1, d2)>, reads = [affine_map<(d0, d1, d2) -> (d0, d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1)>]}> ({
// CHECK:      arith.mulf
