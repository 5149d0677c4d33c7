// RUN: tilecast-opt %s | filecheck %s

// CHECK: "tile.program"() <{sym_name = "scale_rows"
"tile.program"() <{sym_name = "scale_rows", threads = #builtin.int<32>, grid = affine_map<(d0) -> ((d0 + 15) floordiv 16, 1, 1)>, arguments = ["x", "y", "m"]}> ({
^entry(%x: !tile.pointer<f16>, %y: !tile.pointer<f16>, %m: index):
  // CHECK: %{{.*}} = "tile.block_index"() <{axis = #builtin.int<0>}> : () -> index
  %block = "tile.block_index"() <{axis = #builtin.int<0>}> : () -> index
  %zero = arith.constant 0 : index
  // CHECK: tile.view_global %{{.*}}[%{{.*}}] : !tile.pointer<f16> -> !tile.global<?x16xf16>
  %xs = tile.view_global %x[%m] : !tile.pointer<f16> -> !tile.global<?x16xf16>
  %ys = tile.view_global %y[%m] : !tile.pointer<f16> -> !tile.global<?x16xf16>
  // CHECK: tile.alloc_shared : !tile.shared<2x16x16xf16, 1, 2>
  %s = tile.alloc_shared : !tile.shared<2x16x16xf16, 1, 2>
  // CHECK: tile.copy_async %{{.*}}[%{{.*}}, %{{.*}}] -> %{{.*}}[%{{.*}}] : !tile.global<?x16xf16> -> !tile.shared<2x16x16xf16, 1, 2>
  tile.copy_async %xs[%block, %zero] -> %s[%zero] : !tile.global<?x16xf16> -> !tile.shared<2x16x16xf16, 1, 2>
  // CHECK-NEXT: tile.commit
  tile.commit
  "tile.wait"() <{pending = #builtin.int<0>}> : () -> ()
  tile.sync
  // CHECK: -> !tile.register<16x16xf16, "column_local(2,2).spatial(8,4).local(1,2)">
  %r = tile.load_shared %s[%zero, %zero, %zero] : !tile.shared<2x16x16xf16, 1, 2> -> !tile.register<16x16xf16, "column_local(2,2).spatial(8,4).local(1,2)">
  %f = tile.cast %r : !tile.register<16x16xf16, "column_local(2,2).spatial(8,4).local(1,2)"> -> !tile.register<16x16xf32, "column_local(2,2).spatial(8,4).local(1,2)">
  // CHECK: "tile.reduce"(%{{.*}}) <{function = "max", dim = #builtin.int<1>}>
  %max = "tile.reduce"(%f) <{function = "max", dim = #builtin.int<1>}> : (!tile.register<16x16xf32, "column_local(2,2).spatial(8,4).local(1,2)">) -> !tile.register<16x1xf32, "local(2,1).spatial(8,1).replicate(4)">
  %all = "tile.broadcast"(%max) <{dim = #builtin.int<1>, size = #builtin.int<16>}> : (!tile.register<16x1xf32, "local(2,1).spatial(8,1).replicate(4)">) -> !tile.register<16x16xf32, "column_local(2,2).spatial(8,4).local(1,2)">
  // CHECK: tile.binary "div"
  %d = tile.binary "div" %f, %all : !tile.register<16x16xf32, "column_local(2,2).spatial(8,4).local(1,2)">, !tile.register<16x16xf32, "column_local(2,2).spatial(8,4).local(1,2)"> -> !tile.register<16x16xf32, "column_local(2,2).spatial(8,4).local(1,2)">
  %h = tile.cast %d : !tile.register<16x16xf32, "column_local(2,2).spatial(8,4).local(1,2)"> -> !tile.register<16x16xf16, "column_local(2,2).spatial(8,4).local(1,2)">
  // CHECK: tile.store_global
  tile.store_global %h, %ys[%block, %zero] : !tile.register<16x16xf16, "column_local(2,2).spatial(8,4).local(1,2)"> -> !tile.global<?x16xf16>
}) : () -> ()

// CHECK: tile.view_global %{{.*}}[] : !tile.pointer<f32> -> !tile.global<6x4xf32, 8, [[2, 100, 3, 4], [4, 1]]>
// CHECK: "tile.map"(%{{.*}}) ({
// CHECK: tile.yield %{{.*}} : f32
"tile.program"() <{sym_name = "squares", threads = #builtin.int<32>, grid = affine_map<() -> (1, 1, 1)>, arguments = ["x"]}> ({
^entry(%x: !tile.pointer<f32>):
  %zero = arith.constant 0 : index
  %xs = tile.view_global %x[] : !tile.pointer<f32> -> !tile.global<6x4xf32, 8, [[2, 100, 3, 4], [4, 1]]>
  %r = tile.load_global %xs[%zero, %zero] : !tile.global<6x4xf32, 8, [[2, 100, 3, 4], [4, 1]]> -> !tile.register<8x4xf32, "spatial(8,4)">
  %s = "tile.map"(%r) ({
  ^body(%a: f32):
    %b = arith.mulf %a, %a : f32
    tile.yield %b : f32
  }) : (!tile.register<8x4xf32, "spatial(8,4)">) -> !tile.register<8x4xf32, "spatial(8,4)">
}) : () -> ()

"tile.program"() <{sym_name = "turns", threads = #builtin.int<32>, grid = affine_map<() -> (4, 1, 1)>, arguments = ["s"]}> ({
^entry(%s: !tile.pointer<i32>):
  %block = "tile.block_index"() <{axis = #builtin.int<0>}> : () -> index
  %zero = arith.constant 0 : index
  %places = tile.view_global %s[] : !tile.pointer<i32> -> !tile.global<1xi32>
  // CHECK: tile.lock %{{.*}}[%{{.*}}], %{{.*}} : !tile.global<1xi32>
  tile.lock %places[%zero], %block : !tile.global<1xi32>
  // CHECK-NEXT: tile.release %{{.*}}[%{{.*}}], %{{.*}} : !tile.global<1xi32>
  tile.release %places[%zero], %block : !tile.global<1xi32>
}) : () -> ()
