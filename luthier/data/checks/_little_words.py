"""The little words of some languages: the commonest that carry no subject."""

from __future__ import annotations

from typing import Final

WORDS: Final = {
    "English": """
        the a i of and to in is that it was for on are with as his they at be this from have or by one had not
        but what all were when we there can an your which their said if do will should each how about you he
        she then them would like into has more could no than been who its now my over did only these some
    """,
    "German": """
        der die das und ist nicht ein eine zu den mit sich auf für von dem es an auch im wird werden sind oder
        wie aus bei nach einem einer wenn man nur dass er sie wir ihr ich haben hat aber weil damit zum zur
        durch über kann noch
    """,
    "French": """
        le la les l' d' qu' n' s' c' des et est un une du de en que qui dans pour pas sur au avec il elle ce cette vous
        nous ne se sont par plus ou mais son sa ses aux être puis faut leur jusqu
    """,
    "Spanish": """
        el la los las de y en que es un una por con para del se no su al lo como más pero sus hay este esta
        son también después tienen muy cuando sin sobre ser hasta donde
    """,
    "Portuguese": """
        o os as de e em que é um uma por com para do da dos das se não seu sua ao no na mais mas como são
        também foi ele ela isso muito quando nos pelo pela
    """,
    "Italian": """
        il lo la gli le di e che è un una per con del della dei si non in da al più ma come sono anche questo
        questa nel nella alla essere loro suo dal quando
    """,
    "Dutch": """
        de het een en van is dat niet op te zijn met voor in er aan ook als bij maar om dan naar uit nog wel
        deze door wordt hebben heeft over kan je ze we
    """,
    "Polish": """
        w i na z do nie się że jest to o jak po co ale za od przez są dla tak czy jego już może być ten ta
        przy oraz
    """,
    "Turkish": """
        ve bir bu için ile da de çok olarak daha gibi var ne olan en kadar sonra ama değil her
    """,
    "Swedish": """
        och att det som en på är av för med den till inte har de ett om var han men sig från vi så kan när
    """,
}
