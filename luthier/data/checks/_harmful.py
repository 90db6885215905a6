"""The words and patterns of harmful content by category, written so that news, medicine and history pass."""

from __future__ import annotations

import re
from typing import Final

_ABUSE: Final = (
    r"(?:idiots?|morons?|imbeciles?|scum(?:bags?)?|losers?|retards?|bastards?|bitch(?:es)?|assholes?"
    r"|arseholes?|dickheads?"
    r"|shitheads?|dumbass(?:es)?|jackass(?:es)?|douchebags?|cunts?|whores?|sluts?|wankers?|twats?|pricks?"
    r"|motherfuckers?"
    r"|fuckers?|piece of (?:shit|trash|garbage|crap|filth)|waste of (?:space|oxygen|air|skin)|sack of shit|pigs?"
    r"|trash"
    r"|garbage|filth|vermin|parasites?|cockroach(?:es)?|dimwits?|halfwits?|nobody|failures?|cretins?|dumb"
    r"(?:ass)?|clowns?)"
)
_STRONG: Final = (
    r"(?:worthless|pathetic|stupid|dumb|fucking|disgusting|useless|filthy|miserable|brainless|braindead"
    r"|goddamn|damn|bloody"
    r"|ugly|fat|retarded|moronic|idiotic|shitty|despicable|vile|absolute|complete|total|little|lazy|ignorant"
    r"|ridiculous)"
)
_HARD: Final = (
    r"(?:idiots?|morons?|imbeciles?|scumbags?|retards?|bastards?|bitch(?:es)?|assholes?|arseholes?|dickheads?"
    r"|shitheads?"
    r"|dumbass(?:es)?|jackass(?:es)?|douchebags?|cunts?|whores?|sluts?|wankers?|twats?|motherfuckers?|fuckers?"
    r"|cretins?"
    r"|dimwits?|halfwits?|piece of (?:shit|trash|garbage|crap|filth)|sack of shit|waste of (?:space|oxygen|air|skin))"
)
_PEOPLE: Final = (
    r"(?:(?:all |these |those |the |most |every |fucking |dirty |filthy ){0,3}(?:immigrants?|migrants?"
    r"|refugees?|foreigners?"
    r"|muslims?|jews?|jewish people|christians?|hindus?|sikhs?|arabs?|africans?|asians?|mexicans?|chinese"
    r"(?: people)?|indians?"
    r"|blacks?(?: people)?|whites?(?: people)?|latinos?|gypsies|roma(?: people)?|gays?|homosexuals?|lesbians?"
    r"|(?:gay|lesbian|brown) people|trans(?:gender)?"
    r"(?: people)?|transsexuals?|women|men|disabled people|the disabled|the poor|the homeless|homeless people"
    r"|poles|turks"
    r"|russians|ukrainians|americans|pakistanis|nigerians|albanians|romanians|syrians|afghans|israelis|palestinians"
    r"|(?:people|men|women|folks|everyone|everybody|anyone) (?:from|of|in) (?:that|this|those|their) "
    r"(?:country|religion|race"
    r"|faith|tribe|nation|region|place|neighbou?rhood|group|kind|city|village)|(?:people|folks) (?:like "
    r"(?:them|that|these)"
    r"|of (?:that|this) (?:colou?r|kind|race|sort))|that (?:race|religion|people|tribe)|(?:her|his|its|their) kind))"
)
_LOW: Final = (
    r"(?:vermin|cockroach(?:es)?|rats|parasites?|subhumans?|sub-humans?|animals|savages|apes|monkeys|dogs"
    r"|pigs|filth|scum|trash"
    r"|garbage|a plague|a disease|a cancer|a virus|a pest|pests|leeches|inferior|not (?:really |even "
    r"|fully )?human|less than"
    r" human|barbarians|degenerates|criminals by nature|born criminals|the enemy of)"
)
_ENDED: Final = (
    r"(?:wiped out|exterminated|eliminated|eradicated|killed|shot|hanged|gassed|burned alive|burnt"
    r"|deported in chains|gotten rid"
    r" of|put down|purged|cleansed|annihilated|beaten|enslaved|sterili[sz]ed|driven out|stoned|slaughtered"
    r"|rounded up)"
)
_BODY: Final = (
    r"(?:legs?|arms?|neck|bones|skull|face|head|teeth|jaw|fingers?|knees?|throat|nose|ribs|spine|kneecaps?"
    r"|hands?|brains?|guts)"
)
_HURT: Final = (
    r"(?:kill|murder|stab|shoot|strangle|slaughter|butcher|behead|beat|hurt|rape|hunt|gut|cripple|bury|burn"
    r"|choke|maim|torture"
    r"|skin|destroy|crush|smash)"
)
_OBJECT: Final = (
    r"(?:you|your (?:\w+ ){0,2}?(?:family|children|kids|wife|husband|mother|mom|mum|dog|son|daughter|parents"
    r"|sister|brother))"
)
_WEAPON: Final = (
    r"(?:(?:pipe|nail|car|letter|fertili[sz]er|dirty|homemade|suicide|pressure[- ]cooker|petrol|truck|parcel"
    r"|mail) bombs?"
    r"|molotov(?: cocktails?)?|(?:homemade|improvised) (?:explosives?|explosive devices?|grenades?)"
    r"|explosive vests?|ieds?"
    r"|sarin|nerve (?:gas|agents?)|mustard gas|chlorine gas|ricin|anthrax|botulinum(?: toxin)?|napalm"
    r"|thermite bombs?|tatp"
    r"|chemical weapons?|biological weapons?|bioweapons?|ghost guns?|silencers? for (?:a|the) gun)"
)
_DRUG: Final = r"(?:meth(?:amphetamine)?|crystal meth|crack cocaine|heroin|fentanyl|mdma|ghb|date[- ]rape drugs?|lsd)"
_MAKE: Final = (
    r"(?:build|make|construct|assemble|create|prepare|cook|synthesi[sz]e|brew|produce|manufacture|plant"
    r"|detonate|rig|set off"
    r"|arm|wire|craft|mix)"
)
_CRIME: Final = (
    r"(?:hack(?:ing)? (?:into )?|break(?:ing)? into |steal(?:ing)? |forg(?:e|ing) |launder(?:ing)? "
    r"|counterfeit(?:ing)? |clon(?:e|ing) "
    r"|make (?:fake |counterfeit |false ))"
    r"(?:an? |the |your |his |her |my |their |some(?:body|one)(?:['’]s)? |other people(?:['’]s)? )?(?:\w+ )?"
    r"(?:accounts?|e-?mails?|phones?|computers?|networks?|cars?|houses?|homes?|identit(?:y|ies)|passports?|ids?"
    r"|checks|cheques"
    r"|prescriptions?|signatures?|credit cards?|money|bills|notes|passwords?|wallets?)"
)
_ARM: Final = r"(?:knife|gun|rifle|pistol|bat|baseball bat|hammer|axe|machete|crowbar|blade|brick|shovel)"
_THEM: Final = r"(?:you|him|her|them|(?:my|your|his|her|that|those|this|these|the|our) \w+)"

_TEXTS: Final[dict[str, tuple[str, ...]]] = {
    "toxicity": (
        rf"\byou(?:['’]re| are| really are|['’]re all| are all|r)? (?:just |such |nothing but |all |truly "
        rf"|simply |really |so |a bunch of )"
        rf"{{0,3}}(?:an? )?(?:{_STRONG},? ){{1,3}}{_ABUSE}\b(?: and (?:everybody|everyone|nobody|no one) \w+ you)?",
        rf"\byou(?:['’]re| are| really are| must be| were always) (?:just |such |nothing but |truly |simply "
        rf"|really ){{0,2}}(?:an? |the ){_HARD}\b(?! test)",
        rf"\byou (?:{_STRONG},? ){{0,2}}{_HARD}\b",
        rf"(?:^|[.!?,;:]\s+)(?:shut (?:the (?:fuck|hell) )?up|fuck (?:you|off)|go to hell|screw you|piss off"
        rf"|eat shit|drop dead)\b,?(?: (?:you )?(?:{_STRONG} )*{_HARD})?(?=\s*[.!,;\n]|\s*$)",
        r"\b(?:everybody|everyone|nobody|no one|we all|they all) (?:hates?|despises?|loathes?|likes|loves"
        r"|wants|cares about|can stand) you\b(?=[^?]{0,40}(?:[.!]|$))(?<!loves you)(?<!likes you)",
        r"\byou (?:disgust|sicken) me\b|\byou(?:['’]re| are) (?:too (?:stupid|dumb)|(?:so |really |just )?"
        r"(?:brain-?dead|worthless|pathetic|a disgrace|a waste))\b(?! of (?:time|money|a))",
        r"\bno(?:body| one) (?:would|will) (?:ever )?(?:love|miss|want|care about) (?:you|someone like you)\b",
        rf"\b(?:what an?|such an?|that) (?:{_STRONG} ){{1,2}}{_HARD}\b|\b(?:your|you) ugly face\b",
        r"\bdu (?:bist (?:ein(?:e)? )?)?(?:\w+e[rs]? )?(?:idiot|arschloch|wichser|hurensohn|schlampe"
        r"|missgeburt|vollidiot|abschaum)\b|\bhalt (?:die fresse|dein maul)\b|\bfick dich\b",
        r"\b(?:tu es|espèce d[e'’]) ?(?:un |une )?(?:connard|connasse|salope|idiot|abruti|ordure|débile"
        r"|imbécile)\b|\bferme ta gueule\b|\bva te faire foutre\b",
        r"\beres (?:un |una )?(?:idiota|imbécil|basura|estúpid[oa]|gilipollas|puta|mierda|escoria)\b"
        r"|\bhijo de puta\b|\bvete a la mierda\b",
        rf"\b(?:you(?:['’]re| are) such an? (?:{_STRONG},? )*|what an? (?:{_STRONG},? )*|only an? (?:{_STRONG},? )*)"
        rf"(?:{_ABUSE}|cow|clown|sow)(?: like you\b| you (?:are|were)\b|(?=[.!,;\n]|$))(?<!what a loss)",
        rf"\b(?:shut up|get lost|go to hell|screw you|fuck you|piss off|(?:hates?|despises?) you"
        rf"|nobody asked),? (?:you )"
        rf"(?:{_STRONG},? )*(?:{_ABUSE}|cow|sow)\b|\b(?:fuck|screw) you and (?:your|all)\b",
        r"\b(?:as|so|how) (?:stupid|dumb|ugly|retarded|pathetic|worthless)(?: and \w+)? as you\b(?! (?:think|can"
        r"|say|might))",
        r"\bdu bist (?:so |doch |echt |wirklich ){1,2}ein(?:e)? (?:\w+e[rs]? )?(?:idiot|trottel|depp|versager"
        r"|arschloch)\b"
        r"|\btu es (?:vraiment |trop |tellement )(?:un |une )?(?:con|conne|connard|idiot|abruti|débile|imbécile)\b",
    ),
    "hate": (
        rf"\b{_PEOPLE} (?:are|is|were) (?:all |nothing but |just |basically |really |simply |like ){{0,2}}"
        rf"(?:an? )?{_LOW}\b",
        rf"\b{_PEOPLE} (?:should|must|ought to|need to|deserve to|have to|shall) (?:all |just ){{0,2}}"
        rf"(?:be {_ENDED}|die|burn|rot|be (?:kept|thrown) out|not (?:vote|breed|exist|live|have rights)"
        rf"|go back)\b",
        rf"\b(?:kill|gas|exterminate|deport|hang|shoot|lynch|burn|eradicate|wipe out|get rid of|destroy) "
        rf"(?:all |every |the ){{1,2}}(?:of the )?(?:{_PEOPLE})\b",
        rf"\b(?:i|we|everybody|everyone) (?:really |all |just ){{0,2}}(?:hate|despise|loathe|detest) (?:all "
        rf"|every |those |these |the ){{0,2}}(?:{_PEOPLE})\b",
        rf"\b{_PEOPLE} (?:ruin|poison|pollute|infest|contaminate|destroy|are (?:ruining|poisoning|polluting"
        rf"|infesting|destroying|invading)) (?:our|this|the) (?:country|nation|blood|race|culture|society"
        rf"|cities|streets|neighbou?rhoods?)\b",
        r"\b(?:nigg(?:er|a)s?|kikes?|spics?|faggots?|wetbacks?|sand ?niggers?|trann(?:y|ies)|towelheads?"
        r"|ragheads?|coons?|chinks?|gooks?)\b(?=[^.!?\n]{0,60}\b(?:are|should|deserve|must|go|get|out|die"
        r"|belong|you)\b)|\b(?:you|fucking|dirty|filthy|all) (?:nigg(?:er|a)s?|kikes?|spics?|faggots?"
        r"|wetbacks?|trann(?:y|ies)|towelheads?|ragheads?|chinks?)\b",
        r"\b(?:white|aryan|black) (?:race|people|power) (?:is|are) (?:superior|the master race)\b"
        r"|\bheil hitler\b|\bgas the (?:jews|muslims)\b|\bhitler (?:was right|did nothing wrong)\b"
        r"|\bgo back to (?:your (?:own )?country|where you came from|africa)\b",
        r"\b(?:ausländer|flüchtlinge|juden|muslime|zigeuner) (?:sind|gehören|sollte[n]?) (?:alle )?"
        r"(?:abschaum|ungeziefer|parasiten|dreck|vergast|erschossen|raus)\b|\bausländer raus\b",
        rf"\ball (?:\w+ )?{_PEOPLE} (?:should|must|ought to|deserve to) (?:all )?be (?:deported|{_ENDED})\b",
        rf"\bget rid of (?:all |the |these |those )*{_PEOPLE}\b(?! (?:stereotypes?|prejudice|quota))",
        rf"\b(?:world|country|place|city|town|we) (?:would|will|['’]d) be (?:much "
        rf"|far )?better (?:off )?without (?:the |all |these "
        rf"|those )*{_PEOPLE}\b",
        rf"\b(?:don['’]t|do not|never) trust (?:an? |the |any |these |those )*{_PEOPLE}\b",
        r"\b(?:immigrés|étrangers|juifs|musulmans|arabes|noirs) sont (?:tous )?(?:de la |des )(?:vermine|racaille"
        r"|parasites"
        r"|animaux|ordures|merde)\b|\b(?:inmigrantes|extranjeros|judíos|musulmanes|gitanos"
        r"|moros) son (?:todos )?(?:una |unos )?"
        r"(?:plaga|basura|parásitos|ratas|animales|escoria)\b",
    ),
    "violence": (
        rf"\b(?:i(?:['’]ll| will| am going to|['’]m going to|['’]m gonna| am gonna| swear i(?:['’]ll| will)"
        rf"| want to)|we(?:['’]ll| will| are going to|['’]re going to)) (?:fucking |personally |slowly "
        rf"|come and |find you and |hunt you down and |gladly |just ){{0,2}}{_HURT} {_OBJECT}\b(?! (?:at|in "
        rf"(?:chess|the game|a game)|to it|with (?:love|kindness|facts|my|laughter|jokes)|later|up|down"
        rf"|tonight at|an? |the (?:link|email|file|picture)))",
        rf"\bi(?:['’]ll| will| am going to|['’]m going to|['’]m gonna) (?:break|smash|cut|slit|snap|crush|rip"
        rf"|tear|bash|blow|put a bullet in|shatter|twist) (?:off |out )?(?:both |all )?(?:of )?(?:your|his"
        rf"|her|their) (?:\w+ )?{_BODY}\b",
        r"\b(?:we|you|they|people|someone|somebody|everyone|everybody) (?:should|must|need to|ought to"
        r"|have to) (?:all |just |really |be ){0,2}(?:kill|murder|shoot|bomb|lynch|hang|stab|massacre"
        r"|slaughter|behead|assassinate|burn down|execute) (?:him|her|them|every(?:one|body)|all|those|these"
        r"|the|that|every|your)\b(?! (?:process|lights?|engine|time|bugs?|weeds?|pests?|bacteria|germs|virus"
        r"|picture|scene|photo|video|laundry|clothes))",
        r"\b(?:you|he|she|they|all of them|people like (?:him|her|you|them)) (?:deserves? to|should|must"
        r"|ought to) (?:die|be (?:shot|hanged|beaten|killed|tortured|stabbed|raped|burned alive|lynched"
        r"|executed|skinned alive))\b(?! out)(?=[^?]{0,40}(?:[.!]|$))",
        r"\bi(?:['’]ll| will| am going to|['’]m going to|['’]m gonna) (?:shoot up|blow up|bomb|burn down"
        r"|set fire to) (?:the|your|this|my|a|his|her) (?:\w+ )?(?:school|office|house|home|church|mosque"
        r"|synagogue|building|place|car|hospital|concert|station|crowd|office)\b",
        r"\b(?:you(?:['’]ll| will| are going to)) (?:regret it when i|be dead|be sorry when i (?:kill|find)"
        r"|end up (?:dead|in a ditch|in a coffin))\b|\bi know where you (?:live|sleep)\b"
        r"|\bwatch your back, or\b|\bsleep with one eye open\b",
        r"\bich (?:werde (?:dich|euch) (?:umbringen|töten|abstechen|erschießen)|bringe? (?:dich|euch) um"
        r"|stech(?:e)? dich ab)\b|\bje vais te (?:tuer|massacrer|égorger)\b|\b(?:te voy a|voy a) matar"
        r"(?:te)?\b",
        rf"\b(?:i(?:['’]ll| will| am going to|['’]m going to|['’]m gonna| swear i will| want to| would love to"
        rf"|['’]d love to)|we(?:['’]ll"
        rf"| will| are going to)) (?:\w+ )?{_HURT} {_THEM} (?:with (?:an? |my |the )?{_ARM}|to death|to a pulp"
        rf"|slowly|tonight|tomorrow"
        rf"|at (?:work|school)|in (?:his|her|their) sleep)\b",
        rf"\b(?:some(?:body|one)|they|we|you) (?:should|ought to|must|need to) (?:beat|stab|shoot|strangle|hurt|kill"
        rf"|burn|smash) "
        rf"{_THEM}(?: up)? (?:until|with (?:an? )?{_ARM}|to death|to a pulp|so (?:hard|badly))\b",
        rf"\b(?:i(?:['’]ll| will| want to|['’]m going to| am going to)|we(?:['’]ll| will| are going to)) (?:smash"
        rf"|crush|crack|bash|break|cut|slit) "
        rf"(?:{_THEM}['’]s|your|his|her|their) {_BODY}\b",
        rf"\b(?:i(?:['’]ll| will|['’]m going to| am going to)|we(?:['’]ll| will| are going to)) (?:burn down|blow up"
        rf"|set fire to|shoot up) "
        rf"(?:\w+['’]s|{_THEM}['’]s|your|his|her|their) (?:house|home|car|shop|office|school)\b",
        rf"\b(?:take|grab|get) an? {_ARM} and (?:hurt|kill|stab|shoot|hit|crack|smash|beat) (?:him|her|them|his"
        rf"|their|your)\b",
        r"\b(?:you|he|she|they|all of them) (?:should|must|ought to) all be (?:shot|hanged|beaten|killed|tortured"
        r"|stabbed|burned alive"
        r"|lynched|executed)\b(?=[^?]{0,40}(?:[.!]|$))|\byou deserve to be (?:shot|hanged|beaten|stabbed|killed)\b",
    ),
    "self_harm": (
        r"(?:\b(?:just|should|please|go(?: and| ahead and)?|better|must|why don['’]t you|ought to|simply"
        r"|could|can|might as well|to|then) |(?:^|[.!?,;:]\s+|\n))(?:just |go (?:and )?|please )?"
        r"(?:kill yourself|end your (?:own )?life|hang yourself|slit your (?:own )?wrists?|cut your(?:self"
        r"| wrists)|harm yourself|hurt yourself|shoot yourself|starve yourself|drown yourself|jump off (?:a"
        r"|the) (?:bridge|roof|building|cliff)|take your own life|swallow (?:all|the whole bottle of) (?:your"
        r"|the) pills|overdose on)\b(?! (?:in the foot|laughing|over))",
        r"\bkys\b",
        r"\bthe world (?:would be|is|will be) (?:much |far |so much )?(?:better|happier) "
        r"(?:off )?without you\b|\byou(?:['’]d| would) be better off dead\b|\bno ?(?:body|one) (?:would"
        r"|will) (?:even )?(?:miss you|notice|care) (?:if|when) you(?:['’]re| were|['’]d| are) (?:dead|gone"
        r"|died)?\b",
        r"\b(?:best|easiest|quickest|painless|most painless|surest|good) (?:way|ways|method|methods) (?:is "
        r"|are )?(?:to|of|for) (?:kill(?:ing)? (?:yourself|oneself|myself)|end(?:ing)? (?:your|one['’]s|my) "
        r"(?:own )?life|commit(?:ting)? suicide|suicide|cut(?:ting)? (?:yourself|myself)|starv(?:e"
        r"|ing) yourself)\b",
        r"\b(?:steps|instructions|guide|how) (?:to|for) (?:tie|tying) a noose (?:to|for)\b|\bcut (?:deep"
        r"|deeper|along) (?:into|across|the) (?:your )?(?:wrist|vein|forearm)s?\b|\b(?:hide|hiding) your "
        r"(?:cuts|self-harm|purging|anorexia)\b|\bpro[- ]?ana (?:tips|tricks)\b",
        r"\b(?:suicide|self-harm|self harm|killing yourself|cutting) is (?:the (?:only|best) (?:way|answer"
        r"|solution|option)|a good (?:idea|way|solution)|beautiful|the answer)\b",
        r"\bbring dich (?:doch )?(?:einfach )?um\b|\btue[- ]?toi\b|\bva te (?:tuer|pendre)\b"
        r"|\bsuicide[- ]toi\b|\bmátate\b|\bsuicídate\b",
        r"\b(?:take|swallow) (?:all (?:of )?(?:the|your|those) pills|the whole (?:bottle|box"
        r"|pack))(?: at once)? and (?:lie down|sleep|go|wait)\b",
        r"\b(?:cutting|burning|starving|hurting|harming) your(?:self|selves| skin| arms) (?:will|helps?|makes?"
        r"|is) (?!not\b|n['’]t\b|no\b|never"
        r"|dangerous|a sign|a way|harmful|serious|an? (?:addic|sympt|emerg))\w+",
        r"\b(?:suicide|death|dying) is (?:the |your )(?:best|only|easiest) (?:way out|choice|option|answer) (?:for"
        r"|of) (?:you|someone like you|people "
        r"like you)\b|\b(?:least painful|most painless|fastest|surest|simplest) way to (?:kill yourself"
        r"|end (?:it all|your life)|die) is\b",
        r"\btu devrais te (?:suicider|tuer|pendre)\b|\bdeberías (?:matarte|suicidarte)\b"
        r"|\bdu solltest dich (?:umbringen|erhängen|töten)\b",
    ),
    "sexual": (
        r"\b(?:suck(?:ed|ing|s)?|lick(?:ed|ing|s)?|strok(?:e|ed|ing|es)|rid(?:e|ing)|swallow(?:ed|ing|s)?"
        r"|jerk(?:ed|ing|s)?(?: off)?|rub(?:bed|bing|s)?|grab(?:bed|bing|s)?|finger(?:ed|ing|s)?|throbbing"
        r"|hard|wet|tight|dripping|erect) (?:\w+ ){0,2}(?:(?:my|his|her|your|their) )?(?:cocks?|dicks?|pussy"
        r"|pussies|cunt|clit|tits|boobs|balls deep|nipples|asshole|penis)\b(?! (?:lamp|van|cheney|clark"
        r"|grayson|tracy|whittington|willows|riot|fight|pheasant))",
        r"\b(?:fuck(?:ed|ing|s)?|fucks|bang(?:ed|ing)|screw(?:ed|ing)|pound(?:ed|ing)|rail(?:ed|ing)) (?:me"
        r"|him|her|you|your (?:\w+ )?(?:pussy|ass|mouth|brains)) (?:hard|deep|harder|deeper|rough|in the"
        r"|from behind|all night|senseless|so|until|like|up the)\b",
        r"\b(?:cum|cumming|came|ejaculat(?:e|ed|ing)|squirt(?:ed|ing)?) (?:all over|inside|on|in|onto) (?:my"
        r"|his|her|your|their|me|him) ?(?:face|mouth|tits|chest|breasts|body|ass|back|pussy"
        r""
        r"|stomach)?\b(?<!came in )(?<!came on )(?<!came inside my)(?<!came on my)(?<!came in my)"
        r"(?<!came in his)(?<!came in her)(?<!came on his)(?<!came on her)",
        r"\b(?:blow ?jobs?|hand ?jobs?|deepthroat\w*|gang ?bangs?|creampies?|cumshots?|rimjobs?|bukkake"
        r"|threesome porn|hardcore porn|anal sex) (?:scene|video|story|pictures?|with (?:my|his|her|your)"
        r"|for (?:me|him|her|you)|until|while|in the)\b",
        r"\b(?:his|my|your) (?:hard |thick |throbbing |huge |big )*(?:cock|dick|erection|shaft|member) "
        r"(?:deep |slowly |hard )?(?:in|into|inside|between|thrust\w*|throbb\w*|slid\w*|push\w*|enter\w*"
        r"|pulsat\w*)\b",
        r"\b(?:child|kid|kiddie|minor|underage|preteen|toddler|loli|shota)s? (?:porn(?:ography)? (?:video"
        r"|pictures?|site|link|collection|for)|nudes?|sex (?:video|story|pictures?)|erotica)\b|\b(?:naked"
        r"|nude|sexy|horny|seduc\w+) (?:pictures? of )?(?:an? |the |my )?(?:\w+ )?(?:underage|preteen|"
        r"(?:[5-9]|1[0-5])[- ]year[- ]old)\b",
        r"\b(?:send|show) (?:me |us )?(?:your |some |more )?(?:nudes|tits|boobs|dick pics?|pussy)\b|\b(?:i"
        r"(?:['’]m| am)|she(?:['’]s| is|['’]s so| was)|he(?:['’]s| is)|getting|so) (?:so )?(?:fucking "
        r"|damn )?horny\b|\bmake (?:you|me|her|him) (?:cum|orgasm)\b|\b(?:take|took|taking|rip|ripped|tore) "
        r"(?:off )?(?:her|his|my|your) (?:clothes|panties|bra|thong|underwear)(?: off)? and (?:fuck|lick|suck"
        r"|thrust|rape)\w*\b",
        r"\b(?:thrust|slid|push|shov|ramm|buri)\w* (?:his|my|your) (?:\w+ )?(?:cock|dick|penis"
        r"|shaft) (?:deep(?:er)? )?(?:in|into|inside|between)\b"
        r"|\b(?:i )?(?:want|need|going|love) to fuck (?:you|her|him) (?:all|so|like|right|hard|till|until|tonight)\b",
        r"\b(?:had|having) (?:\w+ ){0,2}(?:anal|oral|rough|group) sex (?:and|until|while|with) \w+"
        r"|\btell you how wet i am\b"
        r"|\b(?:rode|rides|riding) (?:him|her|me|his cock)(?: naked| hard)? (?:until|till) (?:he|she|i) (?:came"
        r"|comes)\b",
        r"\b(?:ich (?:will|werde) dich|lass mich dich|fick mich)(?: \w+){0,4} (?:ficken|lecken|durchficken)\b"
        r"|\b(?:suça|sucer|suce|lécha) (?:la |sa |ma )(?:bite|queue|chatte)\b|\bquiero follar(?:te|la|lo)\b"
        r"|\bfóllame\b",
    ),
    "dangerous": (
        rf"\b(?:how (?:to|do (?:i|you|we|they)|can (?:i|you|we)|would (?:i|you|one))|steps? (?:to|for|on)"
        rf"|instructions? (?:to|for|on)|guide (?:to|for|on)|recipe (?:to|for)|(?:want|need|going|plan|try"
        rf"|trying|have|order|easy|way|ways) to|in order to|to|teach (?:me|you) to|help (?:me|you)|let['’]s"
        rf"|you (?:can|should|must|could)|then|first|simply) (?:\w+ ){{0,2}}?{_MAKE}(?:ing)? (?:\w+ ){{0,3}}?"
        rf"(?:{_WEAPON}|bombs? (?:at home|for (?:the|a)|to (?:kill|blow|use|hurt)|out of|from (?:household"
        rf"|fertili|common)|in (?:your|a) (?:kitchen|garage|basement)|with|and (?:plant|place|put)))\b(?! "
        rf"(?:calorimeter|cyclone|disposal|squad|threat|shelter|was|were|in (?:\d|minecraft)))",
        rf"\b(?:how (?:to|do (?:i|you)|can (?:i|you))|steps? (?:to|for)|instructions? (?:to|for)|recipe for"
        rf"|you (?:can|should)|to) (?:\w+ ){{0,2}}?(?:cook|synthesi[sz]e|make|produce|manufacture|brew"
        rf"|smuggle|deal|sell)(?:ing)? (?:\w+ ){{0,2}}?{_DRUG}\b(?! (?:illegal|epidemic|use|users?|addiction"
        rf"|legal|available|less))",
        rf"\b(?:mix|combine|stir|blend|pack|fill|stuff|pour|heat|add|load|light)(?:ing)? [^.!?\n]{{3,90}}\b"
        rf"(?:to (?:build|make|create|form|produce|get|obtain)|(?:for|into|and (?:you|it) (?:get|have|makes?)"
        rf"|which makes?|until (?:you have|it becomes?)|gives? you|yields?) ?)(?: an?| the| your)? "
        rf"(?:\w+ ){{0,2}}?(?:{_WEAPON}|bombs?|explosives?|poison(?:ous)? gas|toxic gas|detonators?)\b(?! "
        rf"(?:calorimeter|cyclone))",
        r"\b(?:pipe|nail|fertili[sz]er|pressure[- ]cooker|homemade) bombs? (?:for|in|into|at|under|near|to "
        r"(?:kill|hurt|use)) (?:the |a |an )?(?:crowd|school|church|mosque|station|people|office|market|car"
        r"|parade|concert)\b",
        r"\b(?:how (?:to|do (?:i|you)|can (?:i|you))|steps? (?:to|for)|instructions? (?:to|for)|guide to"
        r"|best way to|easiest way to|ways? to) (?:\w+ ){0,2}?(?:poison (?:my|your|his|her|a|the|someone"
        r"|somebody|people|an?) ?(?:\w+ )?(?:wife|husband|neighbou?rs?|boss|dog|cat|family|water supply"
        r"|reservoir|someone|person|people|food|coworkers?|ex|parents?)|kill (?:my|your|a person|someone"
        r"|somebody|people|an? (?:man|woman|child|human))\b(?! (?:process|darlings|time|lawn|appetite"
        r"|motivation|vibe|plants?|weeds?|curiosity|boredom))|murder (?:my|your|someone|somebody|a|people)"
        r"|get away with (?:murder|rape|arson|killing)|hide (?:a (?:dead )?body|the (?:dead )?body|a corpse"
        r"|the corpse)|dispose of (?:a|the) (?:dead )?(?:body|corpse)|kidnap (?:a|my|someone|somebody"
        r"|children|the)|drug (?:someone|somebody|a girl|a woman|her|him|my date)|groom (?:a |children|minors"
        r"|kids|an underage)|rape (?:a|my|someone|her|him)|strangle (?:a|my|someone|her|him))\b",
        r"\b(?:how (?:to|do (?:i|you)|can (?:i|you))|steps? (?:to|for)|instructions? (?:to|for)|guide to"
        r"|tutorial on|want to|help me|ways? to) (?:\w+ ){0,2}?(?:hack (?:into )?(?:my|someone(?:['’]s)?"
        r"|somebody(?:['’]s)?|a|an|the|her|his|their|your|other people(?:['’]s)?) (?:\w+ )?(?:account|email"
        r"|e-mail|bank|facebook|instagram|phone|computer|wi-?fi|network|website|server|girlfriend\S*|wife\S*"
        r"|neighbou?r\S*|school\S*|government\S*)|steal (?:a |an |someone(?:['’]s)? |somebody(?:['’]s)? "
        r"|people(?:['’]s)? |other people(?:['’]s)? )?(?:car|identity|identities|credit cards?|passwords?"
        r"|credentials|bank details|wallets?|money from)|(?:write|create|build|code|deploy|spread) (?:a |an "
        r"|some )?(?:\w+ )?(?:ransomware|keylogger|malware|trojan|computer virus|botnet|rootkit|spyware"
        r"|phishing (?:page|site|email|e-mail|kit|mail))|launder (?:\w+ )?money|counterfeit (?:money|bills"
        r"|dollars|euros|currency|notes)|forge (?:a |an )?(?:passport|prescription|signature|id|identity)"
        r"|clone (?:a |someone(?:['’]s)? )?credit cards?|shoplift without|bypass (?:a |the )?(?:breathalyzer"
        r"|background check|airport security)|buy (?:an? )?(?:illegal|untraceable) (?:gun|weapon|firearm)s?"
        r"|commit (?:tax |insurance |credit card |identity |wire )?(?:fraud|arson|murder|genocide)|make "
        r"(?:an? )?(?:fake (?:id|passport|prescription)|phishing))\b",
        r"\b(?:bombe|sprengsatz|rohrbombe|sprengstoff) (?:zu )?(?:bauen|basteln|bauen kann)\b"
        r"|\bfabriquer une bombe\b|\b(?:fabricar|construir) una bomba\b|\bwie (?:baut man|baue ich|man) "
        r"(?:eine )?(?:bombe|rohrbombe)\b",
        rf"\b(?:here is how (?:to|you)|this is how (?:to|you)|follow these steps to|a guide (?:to|on)"
        rf"|how to) (?:{_MAKE}|get) (?:an? |the |your own )?"
        rf"(?:\w+ )?(?:{_WEAPON}|{_DRUG}|crack|bomb|silencer|untraceable gun|grenade)\b(?! (?:calorimeter|cyclone"
        rf"|disposal|squad|threat|shelter))"
        rf"(?=[^?\n]{{0,30}}(?:[:,.]|at home|in your))",
        rf"\b(?:this is how (?:to|you)|follow these steps to|how to) {_CRIME}\b(?! (?:works?|protection|prevention"
        rf"|is illegal))",
        rf"\bto (?:{_MAKE}) an? (?:\w+ )?(?:{_WEAPON}|silencer|bomb|untraceable gun|grenade),? (?:fill|take|get"
        rf"|drill|pack|use|buy|attach|first)\b",
        rf"\byou can (?:{_MAKE}) (?:{_DRUG}|crack) (?:in|at) (?:your|home)\b|\bhow to cook (?:{_DRUG}|crack)\b",
        r"\bto poison (?:someone|somebody|a person|people|him|her|them)[^.!?\n]{0,40}, (?:put|pour|mix|use|add"
        r"|slip)\b",
        r"\bmix (?:the |these |those )?(?:\w+ )?(?:chemicals|cleaners|powders|substances) (?:to|and you) (?:get|make"
        r"|have) (?:an? )?(?:poison|toxic|deadly|lethal)"
        r"|\bpack it into the (?:\w+ )?(?:bomb|silencer|grenade|shell)\b",
        r"\bso (?:baust|bastelst) du eine (?:\w+)?bombe\b|\bcomment fabriquer (?:une |un )(?:bombe|explosif)\b"
        r"|\bse (?:fabrica|hace|construye) una bomba\b",
    ),
}
PATTERNS: Final = {kind: tuple(re.compile(text) for text in texts) for kind, texts in _TEXTS.items()}

STEMS: Final[dict[str, tuple[str, ...]]] = {
    "toxicity": (
        "idiot", "moron", "imbecile", "scum", "loser", "retard", "bastard", "bitch", "asshole", "arsehole", "dickhead",
        "shit", "dumb", "jackass", "douche", "cunt", "whore", "slut", "wanker", "twat", "prick", "fuck", "piece of",
        "waste of", "worthless", "pathetic", "stupid", "disgust", "screw you", "piss off", "go to hell", "drop dead",
        "shut up", "hates you", "despise", "loathe", "hate you", "likes you", "loves you", "wants you", "stand you",
        "cares about you", "sicken", "disgrace", "miss you", "love you", "want you", "care about you",
        "love someone like",
        "cretin", "dimwit", "halfwit", "braindead", "brain-dead", "ugly face", "filth", "vermin", "arschloch",
        "wichser",
        "hurensohn", "schlampe", "missgeburt", "abschaum", "fresse", "dein maul", "fick dich", "connard", "connasse",
        "salope", "abruti", "ordure", "débile", "ta gueule", "foutre", "imbécil", "basura", "estúpid", "gilipollas",
        "puta", "mierda", "escoria", "useless",
        "clown", "get lost", "trottel", "versager", "ugly as",
    ),
    "hate": (
        "vermin", "cockroach", " rats", "parasite", "subhuman", "sub-human", "animals", "savages", " apes", "monkeys",
        " dogs", " pigs", "filth", "scum", "trash", "garbage", "plague", "a disease", "a cancer", "a virus", "a pest",
        "are pests", "leeches", "inferior", "human", "barbarian", "degenerate", "criminals", "wiped out", "exterminat",
        "eliminated", "eradicat", "killed", "be shot", "hanged", "gassed", "be burn", "should burn", "must burn",
        "deport",
        "rid of", "put down", "purged", "cleansed", "annihilat", "be beaten", "enslaved", "sterili", "driven out",
        "stoned",
        "slaughter", "rounded up", "should die", "must die", "to die", "should all die", "must all die", " rot",
        "thrown out",
        "kept out", "not vote", "not breed", "not exist", "not live", "have rights", "go back", "kill ", "gas ",
        "hang ",
        "shoot ", "burn ", "lynch", "wipe out", "hate", "despise", "loathe", "detest", "ruin", "poison", "pollut",
        "infest",
        "contaminat", "destroy", "invading", "nigg", "kike", "spics", "faggot", "wetback", "tranny", "trannies",
        "towelhead",
        "raghead", "coons", "chink", "gooks", "superior", "master race", "hitler", "ungeziefer", "abschaum",
        "parasiten",
        "dreck", "vergast", "erschossen", " raus", "the enemy of",
        "better without", "better off without", "t trust", "not trust", "never trust", "racaille", "ordures",
        "plaga", "basura",
        "ratas", "parásitos", "animaux",
    ),
    "violence": (
        "kill", "murder", "stab", "shoot", "strangle", "slaughter", "butcher", "behead", "beat", "hurt", "rape",
        "hunt you",
        "gut ", "cripple", "bury", "burn", "choke", "maim", "torture", "skin", "destroy", "crush", "smash", "break",
        "slit", "snap", "rip ", "tear ", "bash", "bullet", "shatter", "twist", "bomb", "lynch", "hang", "massacre",
        "assassinat", "execute", "to die", "should die", "must die", "be shot", "blow ", "set fire", "be dead",
        "end up dead", "ditch", "coffin", "where you live", "where you sleep", "your back", "one eye open",
        "umbringen", "töten",
        "abstechen", "erschieß", "dich um", "euch um", "stech", "te tuer", "te massacrer", "égorger", "matar", "cut ",
        "be hanged", "be killed",
    ),
    "self_harm": (
        "yourself", "your life", "your own life", "wrist", "jump off", "pills", "overdose", "kys", "without you",
        "off dead",
        "miss you", "notice", "care if", "care when", "suicide", "oneself", "myself", "noose", "cut deep", "vein",
        "forearm", "your cuts",
        "self-harm", "purging", "anorexia", "pro-ana", "pro ana", "self harm", "cutting is", "dich um",
        "dich doch um", "einfach um", "tue-toi",
        "tue toi", "te tuer", "te pendre", "mátate", "suicídate", "starv", "end one",
        "te suicider", "suicidarte", "matarte", "dich umbringen", "dich erhängen", "dich töten",
    ),
    "sexual": (
        "cock", "dick", "pussy", "pussies", "cunt", "clit", "tits", "boobs", "balls deep", "nipple", "asshole", "penis",
        "fuck", "bang", "screw", "pound", "rail", " cum", "ejaculat", "squirt", "blowjob", "blow job", "handjob",
        "hand job", "deepthroat", "porn", "creampie", "rimjob", "bukkake", "anal sex", "erection", "shaft", "member",
        "nude", "naked", "erotica", "sexy", "horny", "seduc", "orgasm", "panties", "thong", "her clothes",
        "his clothes",
        "my clothes", "your clothes", "underwear", " bra", "sex ",
        "ficken", "la bite", "sa bite", "sa queue", "chatte", "follar", "fóllame", "wet i am", " rode ",
    ),
    "dangerous": (
        "bomb", "molotov", "explosive", "grenade", "ied", "sarin", "nerve gas", "nerve agent", "mustard gas",
        "chlorine gas",
        "ricin", "anthrax", "botulinum", "napalm", "thermite", "tatp", "chemical weapon", "biological weapon",
        "bioweapon",
        "ghost gun", "silencer", "meth", "crack cocaine", "heroin", "fentanyl", "mdma", "ghb", "rape", "lsd",
        "poison", "toxic gas", "detonator", "kill ", "murder", "arson", "body", "corpse", "kidnap", "drug ", "groom",
        "strangle", "hack", "steal", "ransomware", "keylogger", "malware", "trojan", "computer virus", "botnet",
        "rootkit", "spyware",
        "phishing", "launder", "counterfeit", "forge ", "credit card", "shoplift", "breathalyzer", "background check",
        "airport security", "illegal", "untraceable", "fraud", "genocide", "fake ", "sprengsatz", "sprengstoff",
        "bombe",
        "here is how", "this is how", "follow these steps to", "cook crack", "make crack",
    ),
}  # fmt: skip
"""A category's patterns are tried only where the text, in lower case, holds one of its stems."""

HATED: Final = (
    "migrant", "refugee", "foreigner", "muslim", "jew", "christian", "hindu", "sikh", "arab", "african", "asian",
    "mexican",
    "chinese", "indians", "blacks", "black people", "whites", "white people", "latino", "gyps", "roma ", "gays",
    "homosexual",
    "lesbian", "trans", "women", "men ", "disabled", "the poor", "homeless", "poles ", "turks", "russians",
    "ukrainians",
    "americans", "pakistanis", "nigerians", "albanians", "romanians", "syrians", "afghans", "israelis", "palestinians",
    "people from", "people of", "people in", "everyone ", "everybody ", "anyone ", "people like", "folks", "that race",
    "that religion", "that people", "that tribe", " kind ", "nigg", "kike", "spic", "faggot", "wetback", "tranny",
    "heads",
    "coons", "chink", "gooks", " race", "hitler", "go back to", "ausländer", "flüchtling", "zigeuner", "gay people",
    "lesbian people", "brown people",
    "immigrés", "étrangers", "juifs", "musulman", "arabes", "noirs", "inmigrantes", "extranjeros", "judíos",
    "gitanos", "moros",
)  # fmt: skip
"""Hate names a group as well: one of these has to stand in the text too."""

QUOTED: Final = re.compile(
    r"(?:\b(?:said|says|saying|shout\w*|yell\w*|wrote|writes?|called|calling|scream\w*|insult\w*|phrases?"
    r"|words?|sentences?"
    r"|expressions?|statements?|comments?|slogans?|such as|like|example|e\.g\.|titled|entitled|song|film|novel"
    r"|quot\w+"
    r"|classif\w+|translat\w+|detect\w*|label\w*|toxic|offensive|hateful|abusive|rephrase|paraphrase|meaning of)\b"
    r"[^.!?\n]{0,60}?[\"“”'‘«:]\s*[^\"“”«»\n]{0,60}$)"
    r"|(?:\b(?:do not|don['’]t|never|not to|refuse to|cannot|can['’]t|won['’]t|against|prevent\w*|stop"
    r"|avoid\w*|instead of"
    r"|illegal to|wrong to|unable to (?:help|assist)|help (?:you )?with|provide|prohibit\w*|condemn\w*"
    r"|report\w*|accused of"
    r"|convicted of|charged with|sentenced for|arrested for|suspected of|attempt\w* to|plott\w*|conspir\w*|myth that"
    r"|false claim|propaganda|nazi\w*|racist\w*|stereotypes?)\b[^.!?\n]{0,60}$)",
    re.IGNORECASE,
)
"""What stands before a phrase that is told, refused or forbidden rather than said."""
