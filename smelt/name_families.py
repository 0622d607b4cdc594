"""PyTorch's names of which Smelt has none, by pattern, and why."""

from __future__ import annotations

__all__ = ["FAMILIES", "NO_COMPLEX", "NO_SMALL_INTEGERS", "WHOLE", "Family"]

NO_COMPLEX = "there are no complex numbers; keep real and imaginary parts in an axis of extent 2"
NO_SMALL_INTEGERS = "Smelt's integers are int8, int32 and int64; for masks there is bool_"
Family = tuple[str, str]  # a pattern of names, and why Smelt has none of them
FAMILIES: tuple[Family, ...] = (
    (
        r"(to_)?sparse_.*|hspmm|hsmm|s?spmm|smm|dsmm|sspaddmm|saddmm|.*(_coalesced|_sparse.*)|coalesce|"
        r"(ccol|col|crow|row)_indices|dense_dim|jagged|to_padded_tensor|resize_as_sparse_",
        "Smelt has dense tensors only",
    ),
    (
        r".*(quanti[sz]|fake_quant|fbgemm|per_channel|per_tensor).*|q_.*|qu?int.*|int_repr|qscheme|fused_moving.*",
        "Smelt has no quantized tensors",
    ),
    (
        r"(c?[fd]ouble|cfloat|c?half|complex.*|conj.*|imag|real|angle|polar|resolve_.*|adjoint|"
        r"view_as_(real|complex)|is_(conj|neg)|[A-Z]\w*Complex\w*|Complex\w*|chalf|cdouble)_?",
        NO_COMPLEX,
    ),
    (r"float(8|4)_.*|bits\d.*|u?int\d+|(Byte|Char|Short)Tensor|bit", NO_SMALL_INTEGERS),
    (r".*autocast.*", "write train.fit(..., precision='bfloat16')"),
    (r".*Storage(Base)?|(is_)?storage.*", "write x.numpy() for the values"),
    (r"sym_.*|Sym\w+", "in a step, a changing length is a Python number: write int, max, min"),
    (r"i?stft|\w+_window|signal|rfft.*|ifft.*", "Smelt has no Fourier transform; NumPy has one"),
    (
        r"cholesky.*|det|logdet|slogdet|eig|symeig|geqrf|inverse|pinverse|lobpcg|lstsq|lu|lu_.*|matrix_\w+|"
        r"orgqr|ormqr|qr|solve|svd.*|triangular_solve|pca_lowrank|frobenius_norm|householder_product",
        "write numpy.linalg for values; norm, matmul and einsum are in smelt itself",
    ),
    (
        r"i0|i1|i0e|igammac?|mvlgamma|polygamma|zeta",
        "SciPy has it, for values",
    ),
    (
        r"is_(xla|ipu|maia|mkldnn|mps|mtia|nested|vulkan|xpu|distributed)|has_(lapack|mkl|openmp|spectral)",
        "it is False: Smelt computes by itself, on the CPU",
    ),
    (r"bitwise_left_shift", "write x * 2**n"),
    (r"bitwise_right_shift", "write x // 2**n"),
    (r"(cauchy|geometric|log_normal|binomial).*", "compute it from smelt.rand or smelt.randn"),
    (
        r"gcd|lcm|ldexp|frexp|nextafter|histogramdd|segment_reduce|hash_tensor",
        "NumPy has it, for values",
    ),
    (r"\w+3d|\w+3d_with_indices", "Smelt has no layers for volumes, only 1d and 2d ones"),
    (r"[Ff]ractional\w*", "Smelt has no fractional pooling; write adaptive pooling"),
    (r"Lazy\w+", "give the sizes: Smelt has no lazy layers"),
    (
        r"adaptive_max_pool[12]d_with_indices|max_pool[12]d_with_indices",
        "use the name without _with_indices; the indices are not returned",
    ),
    (
        r"(cudnn|miopen|mkldnn|native|batch_norm)_\w+|\w*(backward|_symint|affine_grid|grid_sampler)\w*|"
        r"convolution|\w+_dropout|\w+_renorm_|to_mkldnn|const_data_ptr|dim_order|grad_dtype",
        "it is an internal kernel of PyTorch",
    ),
)
# of these modules everything else
WHOLE: dict[str, Family] = {
    "smelt.cuda": (r".*", "leave it out: Smelt computes on the CPU"),
    "smelt.backends": (r".*", "leave it out: Smelt has one backend"),
}
