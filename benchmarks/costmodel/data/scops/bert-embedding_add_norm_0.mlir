builtin.module {
  "poly.scop"() <{sym_name = "embedding_add_norm_0", roles = ["weight", "in", "weight", "weight", "weight", "weight", "out"], packs = [unit, unit, unit, unit, unit, unit, unit]}> ({
  ^bb0(%weight: memref<1000x128xf32>, %input_ids: memref<2x32xi64>, %position_ids_folded: memref<2x32x128xf32>, %position_ids_folded_1: memref<32x128xf32>, %weight_1: memref<128xf32>, %bias: memref<128xf32>, %out: memref<2x32x128xf32>):
    %t2 = "poly.array"() : () -> memref<2x32x128xf32>
    "poly.statement"(%t2, %position_ids_folded_1, %position_ids_folded, %input_ids) <{sym_name = "S2", domain = "{ [i0, i1, i2] : 0 <= i0 < 2 and 0 <= i1 < 32 and 0 <= i2 < 128 }", write = affine_map<(d0, d1, d2) -> (d0, d1, d2)>, reads = [affine_map<(d0, d1, d2) -> (d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1)>]}> ({
    ^bb0(%0: f32, %1: f32, %2: i64):
      %3 = "poly.index"() <{dim = #builtin.int<2>}> : () -> index
      %4 = arith.index_cast %2 : i64 to index
      %5 = memref.load %weight[%4, %3] : memref<1000x128xf32>
      %6 = arith.addf %5, %1 : f32
      %7 = arith.addf %6, %0 : f32
      "poly.yield"(%7) : (f32) -> ()
    }) : (memref<2x32x128xf32>, memref<32x128xf32>, memref<2x32x128xf32>, memref<2x32xi64>) -> ()
    %t3 = "poly.array"() : () -> memref<2x32xf32>
    "poly.statement"(%t3) <{sym_name = "S3", domain = "{ [i0, i1] : 0 <= i0 < 2 and 0 <= i1 < 32 }", write = affine_map<(d0, d1) -> (d0, d1)>, reads = []}> ({
      %8 = arith.constant 0.000000e+00 : f32
      "poly.yield"(%8) : (f32) -> ()
    }) : (memref<2x32xf32>) -> ()
    "poly.statement"(%t3, %t3, %t2) <{sym_name = "S4", domain = "{ [i0, i1, i2] : 0 <= i0 < 2 and 0 <= i1 < 32 and 0 <= i2 < 128 }", write = affine_map<(d0, d1, d2) -> (d0, d1)>, reads = [affine_map<(d0, d1, d2) -> (d0, d1)>, affine_map<(d0, d1, d2) -> (d0, d1, d2)>], reduction = "add"}> ({
    ^bb0(%9: f32, %10: f32):
      %11 = arith.addf %9, %10 : f32
      "poly.yield"(%11) : (f32) -> ()
    }) : (memref<2x32xf32>, memref<2x32xf32>, memref<2x32x128xf32>) -> ()
    %t5 = "poly.array"() : () -> memref<2x32xf32>
    "poly.statement"(%t5, %t3) <{sym_name = "S5", domain = "{ [i0, i1] : 0 <= i0 < 2 and 0 <= i1 < 32 }", write = affine_map<(d0, d1) -> (d0, d1)>, reads = [affine_map<(d0, d1) -> (d0, d1)>]}> ({
    ^bb0(%12: f32):
      %13 = arith.constant 1.280000e+02 : f32
      %14 = arith.divf %12, %13 : f32
      "poly.yield"(%14) : (f32) -> ()
    }) : (memref<2x32xf32>, memref<2x32xf32>) -> ()
    %t6 = "poly.array"() : () -> memref<2x32xf32>
    "poly.statement"(%t6) <{sym_name = "S6", domain = "{ [i0, i1] : 0 <= i0 < 2 and 0 <= i1 < 32 }", write = affine_map<(d0, d1) -> (d0, d1)>, reads = []}> ({
      %15 = arith.constant 0.000000e+00 : f32
      "poly.yield"(%15) : (f32) -> ()
    }) : (memref<2x32xf32>) -> ()
    "poly.statement"(%t6, %t6, %t2, %t5) <{sym_name = "S7", domain = "{ [i0, i1, i2] : 0 <= i0 < 2 and 0 <= i1 < 32 and 0 <= i2 < 128 }", write = affine_map<(d0, d1, d2) -> (d0, d1)>, reads = [affine_map<(d0, d1, d2) -> (d0, d1)>, affine_map<(d0, d1, d2) -> (d0, d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1)>], reduction = "add"}> ({
    ^bb0(%16: f32, %17: f32, %18: f32):
      %19 = arith.subf %17, %18 : f32
      %20 = arith.mulf %19, %19 : f32
      %21 = arith.addf %16, %20 : f32
      "poly.yield"(%21) : (f32) -> ()
    }) : (memref<2x32xf32>, memref<2x32xf32>, memref<2x32x128xf32>, memref<2x32xf32>) -> ()
    %t8 = "poly.array"() : () -> memref<2x32xf32>
    "poly.statement"(%t8, %t6) <{sym_name = "S8", domain = "{ [i0, i1] : 0 <= i0 < 2 and 0 <= i1 < 32 }", write = affine_map<(d0, d1) -> (d0, d1)>, reads = [affine_map<(d0, d1) -> (d0, d1)>]}> ({
    ^bb0(%22: f32):
      %23 = arith.constant 1.280000e+02 : f32
      %24 = arith.divf %22, %23 : f32
      %25 = arith.constant 1.000000e+00 : f32
      %26 = arith.constant 1.000000e-12 : f32
      %27 = arith.addf %24, %26 : f32
      %28 = math.sqrt %27 : f32
      %29 = arith.divf %25, %28 : f32
      "poly.yield"(%29) : (f32) -> ()
    }) : (memref<2x32xf32>, memref<2x32xf32>) -> ()
    "poly.statement"(%out, %t2, %t5, %t8, %weight_1, %bias) <{sym_name = "S9", domain = "{ [i0, i1, i2] : 0 <= i0 < 2 and 0 <= i1 < 32 and 0 <= i2 < 128 }", write = affine_map<(d0, d1, d2) -> (d0, d1, d2)>, reads = [affine_map<(d0, d1, d2) -> (d0, d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1)>, affine_map<(d0, d1, d2) -> (d0, d1)>, affine_map<(d0, d1, d2) -> (d2)>, affine_map<(d0, d1, d2) -> (d2)>]}> ({
    ^bb0(%30: f32, %31: f32, %32: f32, %33: f32, %34: f32):
      %35 = arith.subf %30, %31 : f32
      %36 = arith.mulf %35, %32 : f32
      %37 = arith.mulf %36, %33 : f32
      %38 = arith.addf %37, %34 : f32
      "poly.yield"(%38) : (f32) -> ()
    }) : (memref<2x32x128xf32>, memref<2x32x128xf32>, memref<2x32xf32>, memref<2x32xf32>, memref<128xf32>, memref<128xf32>) -> ()
  }) : () -> ()
}