// RUN: tilecast-opt %s -p extract-scop --split-input-file | filecheck %s

// A view becomes an access map; a pointwise result is stored to the output in place.
func.func private @transposed(%x: tensor<3x5xf32>) -> tensor<5x3xf32> {
  %v = "graph.view"(%x) <{map = affine_map<(d0, d1) -> (d1, d0)>}> : (tensor<3x5xf32>) -> tensor<5x3xf32>
  %e = tensor.empty() : tensor<5x3xf32>
  %r = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, d1)>], iterator_types = ["parallel", "parallel"]} ins(%v : tensor<5x3xf32>) outs(%e : tensor<5x3xf32>) {
  ^bb0(%a: f32, %o: f32):
    %s = arith.negf %a : f32
    linalg.yield %s : f32
  } -> tensor<5x3xf32>
  func.return %r : tensor<5x3xf32>
}

// CHECK:      "poly.scop"() <{sym_name = "transposed", roles = ["in", "out"], packs = [unit, unit]}> ({
// CHECK-NEXT: ^bb0(%x: memref<3x5xf32>, %out: memref<5x3xf32>):
// CHECK-NEXT:   "poly.statement"(%out, %x) <{sym_name = "S0", domain = "{ [i0, i1] : 0 <= i0 < 5 and 0 <= i1 < 3 }", write = affine_map<(d0, d1) -> (d0, d1)>, reads = [affine_map<(d0, d1) -> (d1, d0)>]}> ({
// CHECK-NEXT:   ^bb0(%0: f32):
// CHECK-NEXT:     %s = arith.negf %0 : f32
// CHECK-NEXT:     "poly.yield"(%s) : (f32) -> ()
// CHECK-NEXT:   }) : (memref<5x3xf32>, memref<3x5xf32>) -> ()
// CHECK-NEXT: }) : () -> ()

// -----

// A reduction starts from its fill, and its accumulator is copied to the output.
func.func private @row_sums(%x: tensor<3x5xf32>, %w: tensor<5xf32> {tilecast.weight}) -> tensor<3xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<3xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<3xf32>) -> tensor<3xf32>
  %r = linalg.generic {indexing_maps = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d1)>, affine_map<(d0, d1) -> (d0)>], iterator_types = ["parallel", "reduction"]} ins(%x, %w : tensor<3x5xf32>, tensor<5xf32>) outs(%f : tensor<3xf32>) {
  ^bb0(%a: f32, %b: f32, %acc: f32):
    %m = arith.mulf %a, %b : f32
    %s = arith.addf %acc, %m : f32
    linalg.yield %s : f32
  } -> tensor<3xf32>
  func.return %r : tensor<3xf32>
}

// CHECK:      "poly.scop"() <{sym_name = "row_sums", roles = ["in", "weight", "out"], packs = [unit, unit, unit]}> ({
// CHECK-NEXT: ^bb0(%x: memref<3x5xf32>, %w: memref<5xf32>, %out: memref<3xf32>):
// CHECK-NEXT:   %t0 = "poly.array"() : () -> memref<3xf32>
// CHECK-NEXT:   "poly.statement"(%t0) <{sym_name = "S0", domain = "{ [i0] : 0 <= i0 < 3 }", write = affine_map<(d0) -> (d0)>, reads = []}> ({
// CHECK-NEXT:     %0 = arith.constant 0.000000e+00 : f32
// CHECK-NEXT:     "poly.yield"(%0) : (f32) -> ()
// CHECK-NEXT:   }) : (memref<3xf32>) -> ()
// CHECK-NEXT:   "poly.statement"(%t0, %t0, %x, %w) <{sym_name = "S1", domain = "{ [i0, i1] : 0 <= i0 < 3 and 0 <= i1 < 5 }", write = affine_map<(d0, d1) -> (d0)>, reads = [affine_map<(d0, d1) -> (d0)>, affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d1)>], reduction = "add"}> ({
// CHECK-NEXT:   ^bb0(%1: f32, %2: f32, %3: f32):
// CHECK-NEXT:     %m = arith.mulf %2, %3 : f32
// CHECK-NEXT:     %s = arith.addf %1, %m : f32
// CHECK-NEXT:     "poly.yield"(%s) : (f32) -> ()
// CHECK-NEXT:   }) : (memref<3xf32>, memref<3xf32>, memref<3x5xf32>, memref<5xf32>) -> ()
// CHECK-NEXT:   "poly.statement"(%out, %t0) <{sym_name = "S2", domain = "{ [i0] : 0 <= i0 < 3 }", write = affine_map<(d0) -> (d0)>, reads = [affine_map<(d0) -> (d0)>]}> ({
// CHECK-NEXT:   ^bb0(%4: f32):
// CHECK-NEXT:     "poly.yield"(%4) : (f32) -> ()
// CHECK-NEXT:   }) : (memref<3xf32>, memref<3xf32>) -> ()
// CHECK-NEXT: }) : () -> ()

// -----

// The program is not a kernel: nothing changes.
func.func @main(%x: tensor<3x5xf32>) -> tensor<15xf32> {
  %0 = "graph.reshape"(%x) : (tensor<3x5xf32>) -> tensor<15xf32>
  func.return %0 : tensor<15xf32>
}

// CHECK:      func.func @main(%x: tensor<3x5xf32>) -> tensor<15xf32> {
// CHECK-NEXT:   %0 = "graph.reshape"(%x) : (tensor<3x5xf32>) -> tensor<15xf32>
// CHECK-NEXT:   func.return %0 : tensor<15xf32>
// CHECK-NEXT: }

// -----

// A running sum is a recurrence: a first element, and each further one from the one before.
func.func private @running_sum(%x: tensor<3x5xf32>) -> tensor<3x5xf32> {
  %0 = "graph.scan"(%x) <{fn = "sum", dim = #builtin.int<1>}> : (tensor<3x5xf32>) -> tensor<3x5xf32>
  func.return %0 : tensor<3x5xf32>
}

// CHECK:      "poly.scop"() <{sym_name = "running_sum", roles = ["in", "out"], packs = [unit, unit]}> ({
// CHECK-NEXT: ^bb0(%x: memref<3x5xf32>, %out: memref<3x5xf32>):
// CHECK-NEXT:   "poly.statement"(%out, %x) <{sym_name = "S0", domain = "{ [i0, i1] : 0 <= i0 < 3 and 0 <= i1 < 1 }", write = affine_map<(d0, d1) -> (d0, d1)>, reads = [affine_map<(d0, d1) -> (d0, d1)>]}> ({
// CHECK-NEXT:   ^bb0(%0: f32):
// CHECK-NEXT:     "poly.yield"(%0) : (f32) -> ()
// CHECK-NEXT:   }) : (memref<3x5xf32>, memref<3x5xf32>) -> ()
// CHECK-NEXT:   "poly.statement"(%out, %out, %x) <{sym_name = "S1", domain = "{ [i0, i1] : 0 <= i0 < 3 and 0 <= i1 < 4 }", write = affine_map<(d0, d1) -> (d0, (d1 + 1))>, reads = [affine_map<(d0, d1) -> (d0, d1)>, affine_map<(d0, d1) -> (d0, (d1 + 1))>]}> ({
// CHECK-NEXT:   ^bb0(%1: f32, %2: f32):
// CHECK-NEXT:     %3 = arith.addf %1, %2 : f32
// CHECK-NEXT:     "poly.yield"(%3) : (f32) -> ()
// CHECK-NEXT:   }) : (memref<3x5xf32>, memref<3x5xf32>, memref<3x5xf32>) -> ()
// CHECK-NEXT: }) : () -> ()

// -----

// The kernel of an opaque op has no affine schedule: lower-opaque makes its loops.
func.func private @sort(%x: tensor<5xf32>) -> tensor<5xi64> {
  %0 = "graph.argsort"(%x) <{dim = #builtin.int<0>, descending = false, count = #builtin.int<5>}> : (tensor<5xf32>) -> tensor<5xi64>
  func.return %0 : tensor<5xi64>
}

// CHECK:      func.func private @sort(%x: tensor<5xf32>) -> tensor<5xi64> {
// CHECK-NEXT:   "graph.argsort"(%x)

// -----

// sizes of the call become parameters, a product one of its own; the temporary has the largest shape
// CHECK-LABEL: sym_name = "joined_rows"
// CHECK-SAME: params = ["batch", "batch_by_seq"]
// CHECK-SAME: context = "[s0, s1] -> {
// CHECK-SAME: extents = [affine_map<()[s0, s1] -> (s0, 4)>, affine_map<()[s0, s1] -> (s1, 4)>, affine_map<()[s0, s1] -> ((s1 + s0), 4)>]
// CHECK: ^bb0(%x: memref<?x4xf32>, %y: memref<?x4xf32>, %out: memref<?x4xf32>):
// CHECK: domain = "[s0, s1] -> { [i0, i1] : {{.*}}0 <= i0 < s0 and 0 <= i1 <= 3 }"
// CHECK: write = affine_map<(d0, d1)[s0, s1] -> ((d0 + s0), d1)>
func.func private @joined_rows(%x: tensor<8x4xf32, #graph.sizes<["batch[1..8]", "4"]>>, %y: tensor<64x4xf32, #graph.sizes<["batch[1..8]*seq[1..8]", "4"]>>) -> tensor<72x4xf32, #graph.sizes<["batch[1..8]*seq[1..8] + batch[1..8]", "4"]>> {
  %0 = "graph.cat"(%x, %y) <{dim = #builtin.int<0>}> : (tensor<8x4xf32, #graph.sizes<["batch[1..8]", "4"]>>, tensor<64x4xf32, #graph.sizes<["batch[1..8]*seq[1..8]", "4"]>>) -> tensor<72x4xf32, #graph.sizes<["batch[1..8]*seq[1..8] + batch[1..8]", "4"]>>
  func.return %0 : tensor<72x4xf32, #graph.sizes<["batch[1..8]*seq[1..8] + batch[1..8]", "4"]>>
}
