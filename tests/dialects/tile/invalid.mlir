// RUN: tilecast-opt %s

// EXPECT-ERROR: tile.register: the layout has shape (8, 8), the type (16, 8)
%r = "tile.fill"() <{value = 0.0 : f64}> : () -> !tile.register<16x8xf32, "spatial(8,4).local(1,2)">

// -----

// EXPECT-ERROR: expected one of local, spatial
%r = "tile.fill"() <{value = 0.0 : f64}> : () -> !tile.register<8x8xf32, "spatal(8,8)">

// -----

// EXPECT-ERROR: tile.code: unknown weight element type 'u9'
%r = "tile.fill"() <{value = 0.0 : f64}> : () -> !tile.register<8x8x!tile.code<"u9">, "spatial(8,4).local(1,2)">

// -----

// EXPECT-ERROR: expected whole words of codes per thread, found 2 of 4 bits
%r = "tile.fill"() <{value = 0.0 : f64}> : () -> !tile.register<8x8x!tile.code<"u4">, "spatial(8,4).local(1,2)">

// -----

// EXPECT-ERROR: exchanges chunks within 64 bytes, which rows of 32 bytes are no multiple of
%s = tile.alloc_shared : !tile.shared<8x16xf16, 2, 3>

// -----

// EXPECT-ERROR: tile.view: expected bits per thread 32, found 64
%r = "tile.fill"() <{value = 0.0 : f64}> : () -> !tile.register<8x8xf16, "spatial(8,4).local(1,2)">
%v = tile.view %r : !tile.register<8x8xf16, "spatial(8,4).local(1,2)"> -> !tile.register<8x8xf32, "spatial(8,4).local(1,2)">

// -----

// EXPECT-ERROR: tile.binary: layouts differ
%r = "tile.fill"() <{value = 0.0 : f64}> : () -> !tile.register<8x8xf16, "spatial(8,4).local(1,2)">
%q = "tile.fill"() <{value = 0.0 : f64}> : () -> !tile.register<8x8xf16, "local(1,2).spatial(8,4)">
%v = tile.binary "add" %r, %q : !tile.register<8x8xf16, "spatial(8,4).local(1,2)">, !tile.register<8x8xf16, "local(1,2).spatial(8,4)"> -> !tile.register<8x8xf16, "spatial(8,4).local(1,2)">

// -----

// EXPECT-ERROR: tile.load_shared: a tile of (16, 8) does not fit into (8, 8)
%i = arith.constant 0 : index
%s = tile.alloc_shared : !tile.shared<8x8xf16>
%r = tile.load_shared %s[%i, %i] : !tile.shared<8x8xf16> -> !tile.register<16x8xf16, "local(2,1).spatial(8,4).local(1,2)">

// -----

// EXPECT-ERROR: tile.reduce: expected a result that lies as spatial(8,1).replicate(4)
%r = "tile.fill"() <{value = 0.0 : f64}> : () -> !tile.register<8x8xf32, "spatial(8,4).local(1,2)">
%m = "tile.reduce"(%r) <{function = "add", dim = #builtin.int<1>}> : (!tile.register<8x8xf32, "spatial(8,4).local(1,2)">) -> !tile.register<8x1xf32, "spatial(8,1)">

// -----

// EXPECT-ERROR: tile.fill: expected a layout of 64 threads, found 32
"tile.program"() <{sym_name = "p", threads = #builtin.int<64>, grid = affine_map<() -> (1, 1, 1)>, arguments = []}> ({
  %r = "tile.fill"() <{value = 0.0 : f64}> : () -> !tile.register<8x8xf32, "spatial(8,4).local(1,2)">
}) : () -> ()

// -----

// EXPECT-ERROR: tile.global: expected digits of (6, 4), found (((2, 100),), ((4, 1),))
"tile.program"() <{sym_name = "p", threads = #builtin.int<32>, grid = affine_map<() -> (1, 1, 1)>, arguments = ["x"]}> ({
^entry(%x: !tile.pointer<f32>):
  %g = tile.view_global %x[] : !tile.pointer<f32> -> !tile.global<6x4xf32, 0, [[2, 100], [4, 1]]>
}) : () -> ()

// -----

// EXPECT-ERROR: tile.map: expected the yielded type f32, found f16
%r = "tile.fill"() <{value = 0.0 : f64}> : () -> !tile.register<8x4xf16, "spatial(8,4)">
%s = "tile.map"(%r) ({
^body(%a: f16):
  tile.yield %a : f16
}) : (!tile.register<8x4xf16, "spatial(8,4)">) -> !tile.register<8x4xf32, "spatial(8,4)">

// -----

// EXPECT-ERROR: tile.lock: expected numbers of i32, found f32
"tile.program"() <{sym_name = "p", threads = #builtin.int<32>, grid = affine_map<() -> (1, 1, 1)>, arguments = ["x"]}> ({
^entry(%x: !tile.pointer<f32>):
  %i = arith.constant 0 : index
  %g = tile.view_global %x[] : !tile.pointer<f32> -> !tile.global<4xf32>
  tile.lock %g[%i], %i : !tile.global<4xf32>
}) : () -> ()
