"""Files of `torch.save` made without PyTorch: two that it wrote, kept as text, and an assembler.

What is kept was written by PyTorch 2.13, of `VALUE`, with and without
`_use_new_zipfile_serialization`:

    w = torch.arange(6.0).reshape(2, 3)
    linear.load_state_dict({"weight": w, "bias": torch.tensor([0.5, -1])})
    torch.save(
        {
            "model": linear.state_dict(), "tied": [w, w.t(), w[1]], "steps": torch.tensor(7),
            "mask": torch.tensor([True, False]), "half": torch.tensor([1.5]).bfloat16(),
            "weight": nn.Parameter(w.clone()), "epoch": 3, "rate": 0.1,
            "pair": (None, "x", b"\xff"), "shape": w.shape,
        },
        path,
    )
"""

from __future__ import annotations

import base64
import io
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping

import numpy as np

ZIP = (
    "c-qZY%X8aA7?<tDaRhPF@<<vWJPNHtQ^!x)Y124})&*4BM4?3#ic#ckq^V;0lQt>sOlAU1QkdZYM>qig0w;zGWnh"
    "NkN)K@1#-ZiJl_UFbR7sgMuM0btl~~{J@qN4dt!9)&mms84!lp4G929idFs)@Y-qf+4ZC|tNa$2|?8msXY5Heaf0"
    "W3OAWJAm_9NR_)ww#tHUT~YpMa|QefklXqs*uQNNfLV<SqmnHE(1G6BHLKPmhFiR7tJqOcC&#|%X8euazTXdOh)S"
    "=2#-YS3kZ@NBGzq3$8-Eg5qh*3iOE4qOOU(KUV>gFi9wuI1SPH{*5M%~p~TkV;ZIEJq7Oq_g?^2sF3elH2LmS2F_"
    "R|e$-@D&SBYad$nb0Mh!R_aM>+N}43DcYxU>R8S}zH1EF!Ga0>L5nd|0E^gC|ztNoIT*xgMznJf*}u&zonO*g{Ph"
    "xdKmTLb?Tb#$>*q^?g6beIMr9&trH&g(DjvvlD)lh9{KxI%Jd>MUC?C7cm@DVJsSce3k?!)*wr>8t0)o40#m_h|Q"
    "#jQQLze$93v`&S@?9<t{P1MJN-(7zT;xk9IUG7^*5vurwES?;4y4(a4Tt`!pvRO$jD>wNG`bJw<)hINdacmsF4$o"
    "vGVb;pH$LTLyW_r##Il%W#G}t5ZtCc9wp<!YN<H@R|yWxz*xp>#k1b6uBat3r&v%uk!+)_owFqpPm`cJc~h9VeVu"
    "0&l|Vkq6(K-K~dW=On6gCusmEHBhb#)zW;)bFWGNx-E!fr^GxS`xNI~GvYQM~L@oM<2ybg~^5o~+@DAHQwvMe<9<"
    "HpzyDBtp!Fzn(Oudaj@6=|_x=DcZ+^DezO%>2mc1Gz*eLbB1;9Ig$=ryxt0~i!UzX4>gI_{#58=b{mmy?}7kf(g#"
    "{qyHX)HuDi<{K6&_xU>8xuM(ELTeGVa9u7&TFZ`xRH6oI*WqtkpZEg}91v>0f%zL4IkY*|<&%5S-59oov5lyQwNr"
    "l`qEnN6pog?D73!+vxw?E}9|kz<YK?qNlMlI8$@R@Nbu{?d-Oq=}gQ0C4jfEZM>vBfeg+9?<y-oGZU(!dYKx!Mk$"
    "*^9bE?0&BQU1l<<loa_p?dA#?>c+PzqFtHV@&yn!#`=;um7|lhn359d1^n4pNt=CRR7a^XD0WcFYRA{|MTB39P?f"
    "I?d|AJZ52hT^xIbp7q`!UL@3;EfUE!>axKyUZ|d}IsbMwia(0*X$Vt_Sa$%w@l`7S8At#l~m1@46uSkVzH7Av%d|"
    "{$gCQqo#KYqROVTSm~FqbiE*7q4a5(YLokG=;+(ZK^?FocYC30oZ^QIcR29}bbs21z!Z98sQNBR&w~xf9^=4}d5<"
    "xN6cN_@!<k(z~PBU<V9i??tiso$JyQKin~+*kI?0=ti-{C^pzTBDy^hY$=Kj?)xzIP83_-dA@2Yf|a7!;C|~5=Nr"
    "IovCe|qU?eQuD{QktXOv`eY-2koj{C^I$i0%__kVjgj)x>WDaJbi{7tDl$uWH_p2z+N;g1g1"
)

LEGACY = (
    "c-oDW*;3O`7{{BWv=Rkz7gyYi3)0e-)~$#LYGey8alshU1Br&F|Kt>x8D@IJqHmz%g_pj9S2*L-_z2E;;mJaoIuX"
    "qzC&^iU-~U_Asq^ne>({5@pItA$Omz0t`OzN&YZnnqDIKv`tm@d*)@@5&AdYL=6>w~V(#A$ClTwSQq*6Au3iwq;W"
    "S#U)m8h=ymbefW5l<;CtkX4YhoVK|6@mSk6^euuSK=PSuFN4R#cQ>7o8J6+yG$%_Ix}k#oieMgIPR2*L&`&@PDSw"
    "DGK7?pU~^v)bIzcM>(q91qerb#({e@CAu~18Dyx)KT-#9>G9p@1DJAKtVKcQkf<&-H9JXwYP6eGJl1e+9Q_SXa>H"
    "f5L7jk)Q@rCQv8d{~q7=<_~#Ux%5ma$b5ByJho-Wi^zHi~u`+kMw&OwC1y!K@ky;}2>k-IvZ_htVqWjJDIKEn%0$"
    "En#;++C#Bd#=hDj_A9MysX9-nR@SJ7PJjG>!a8F(xQIi(Q|s9|EOD;u&iD$bNy<1fjiadu6~zKmlF1g(WduGQYxs"
    "0L@aaUL<Rrx@8K*ZxoCy&r4<ShWGP)(sBb^Np=P1t0xUd<bCq!JFWB_3ay<RNR!SW16pNuRCYKfAni(J48GkBL(Q"
    "6qu*=1}J{xoj5w49_uqfhp|n4zNXvOENC|p_<p+m$=dd9kgw$0lnI+xsdJc%ivm=zfzdL0Z;Sw06s`@L&lH~H#BP"
    "&H=E&p(WUbZ1H;V*iurUggOO16EzbaB-}ah2fdPr)u8dLRZ-rmg9F5fsaYT$o2fmog_2n@h27aQE{>dQya$skQ;+"
    "~BAtNzb}6+D!o_=zA@TQ~4X5_}&WjS@T_DSiFmT_63vs%AQPGNy3s`!$~Gs?PSc?uw-1eTbM=csBBV4bS|YY-!Z2"
    "q@gb3xeRRuGvV2xRSEPkZd2@J5m63=k|oT_nDdT~Y47NW*tlHOzT=}RM2M=&cvRY3qQaPn%3qT7c#dsc^%83a*v+"
    "0gdp-~F8-r}DzQ%<=$?*NZ>$!i<Tql1k{RZ*Od-M"
)


def kept(text: str) -> bytes:
    return zlib.decompress(base64.b85decode(text))


# --- an assembler of pickles ----------------------------------------------------------------------

START, STOP = b"\x80\x02", b"."
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
STORAGES = {"float32": "FloatStorage", "int64": "LongStorage", "bool": "BoolStorage"}
STORAGES |= {"uint8": "ByteStorage", "float64": "DoubleStorage", "int16": "ShortStorage"}
STORAGES |= {"int8": "CharStorage", "float16": "HalfStorage", "int32": "IntStorage"}


def text(value: str) -> bytes:
    content = value.encode()
    return b"X" + struct.pack("<I", len(content)) + content


def number(value: int) -> bytes:
    content = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(content)]) + content


def named(name: str) -> bytes:
    return b"c" + name.replace(":", "\n").encode() + b"\n"


def many(parts: Iterable[bytes]) -> bytes:
    return b"(" + b"".join(parts) + b"t"


def called(name: str, *arguments: bytes) -> bytes:
    return named(name) + many(arguments) + b"R"


def storage(kind: str, key: str, count: int) -> bytes:
    return (
        many([text("storage"), named(f"torch:{kind}"), text(key), text("cpu"), number(count)])
        + b"Q"
    )


def tensor(
    held: bytes, offset: int, shape: Iterable[int], strides: Iterable[int], flag: bytes = b"\x89"
) -> bytes:
    """Returns the operations that put a tensor onto the stack."""
    hooks = named("collections:OrderedDict") + b")R"
    axes = many(map(number, shape)), many(map(number, strides))
    return called("torch._utils:_rebuild_tensor_v2", held, number(offset), *axes, flag, hooks)


def of_array(key: str, array: np.ndarray) -> bytes:
    strides = [stride // array.itemsize for stride in array.strides]
    held = storage(STORAGES[array.dtype.name], key, array.size)
    return tensor(held, 0, array.shape, strides)


def mapping(items: Mapping[str, bytes]) -> bytes:
    return b"}(" + b"".join(text(key) + value for key, value in items.items()) + b"u"


def pickled(value: bytes) -> bytes:
    return START + value + STOP


def archive(value: bytes, storages: Mapping[str, bytes] = {}, **members: bytes | None) -> bytes:
    """Returns a zip archive as `torch.save` makes it; members of None are left out."""
    content = io.BytesIO()
    parts = {"data.pkl": pickled(value), "byteorder": b"little", **members}
    parts |= {f"data/{key}": numbers for key, numbers in storages.items()}
    parts.setdefault("version", b"3\n")
    with zipfile.ZipFile(content, "w") as file:
        for name, part in parts.items():
            if part is not None:
                file.writestr(f"model/{name}", part)
    return content.getvalue()


def legacy(value: bytes, storages: Mapping[str, tuple[int, bytes]] = {}) -> bytes:
    """Returns a file of before PyTorch 1.6; storages are counts and bytes."""
    keys = b"](" + b"".join(map(text, storages)) + b"e"
    parts = [number(LEGACY_MAGIC), number(1001), b"}", value, keys]
    numbers = (struct.pack("<q", count) + data for count, data in storages.values())
    return b"".join(map(pickled, parts)) + b"".join(numbers)


def state_dict(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Returns a file of a state_dict."""
    items = {name: of_array(name, array) for name, array in arrays.items()}
    return archive(mapping(items), {name: array.tobytes() for name, array in arrays.items()})
