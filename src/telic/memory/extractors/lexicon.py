"""Words that statements about oneself are made of: trades, languages, creatures, diets, foods, dates, money."""

from __future__ import annotations

__all__ = [
    "ALLERGENS",
    "BUSINESSES",
    "CREATURES",
    "DATE",
    "DEMONYMS",
    "DIETS",
    "FOODS",
    "LANGUAGES",
    "MONEY",
    "OCCUPATION",
    "ORGANISATIONS",
    "REACTIONS",
    "RELATIVES",
    "VEHICLES",
    "WORK_NOUNS",
    "WORK_VERBS",
]

DIETS = (
    r"vegetarian|vegan|veggie|pesc[ae]tarian|flexitarian|halal|kosher|jain|gluten[- ]free|lactose[- ](?:free|intolerant)|dairy[- ]free|"
    r"sugar[- ]free|low[- ]carb|low[- ]sodium|low[- ]salt|keto|paleo|coeliac|celiac|diabetic|plant[- ]based|fruitarian|carnivore|"
    r"(?:low[- ])?fodmap|meat[- ]free|nut[- ]free|egg[- ]free|alcohol[- ]free|teetotal"
)
FOODS = (
    r"(?:red |any |much )?(?:meat|pork|beef|lamb|chicken|poultry|fish|seafood|shellfish|dairy|lactose|milk|eggs?|gluten|wheat|sugar|carbs|alcohol|booze|"
    r"caffeine|salt|animal products|anything (?:with|that had) (?:a face|parents|meat|gluten|dairy)|onions? (?:and|or) garlic|garlic|onions?)"
    r"(?:(?:,| or| and|, or) (?:meat|pork|beef|lamb|chicken|fish|seafood|shellfish|dairy|eggs?|gluten|wheat|sugar|alcohol|garlic|onions?))*"
)
"""Kinds of food that a diet leaves out; what else somebody does not eat is a taste."""
_TRADES = (
    "accountant|actor|actress|actuary|acupuncturist|administrator|advisor|adviser|agronomist|analyst|anaesthetist|anesthetist|apprentice|archaeologist|"
    "architect|archivist|artist|astronomer|auditor|auctioneer|author|babysitter|baker|banker|barber|barista|barman|barmaid|barrister|bartender|beautician|"
    "beekeeper|biologist|blacksmith|boilermaker|bookbinder|bookkeeper|bookseller|bricklayer|broker|builder|butcher|buyer|caregiver|caretaker|carer|carpenter|"
    "cartographer|cashier|caterer|cellist|chaplain|chauffeur|chef|chemist|childminder|chiropodist|chiropractor|choreographer|chorister|cleaner|clerk|coach|"
    "cobbler|coder|comedian|composer|concierge|conductor|conservator|constable|consultant|contractor|cook|coordinator|copywriter|coroner|councillor|counsellor|"
    "counselor|courier|curate|curator|dancer|deacon|decorator|dentist|dermatologist|designer|detective|developer|dietician|dietitian|director|dispatcher|"
    "docker|doctor|doorman|dressmaker|driver|economist|editor|electrician|engineer|estate agent|executive|farmer|farrier|ferryman|filmmaker|firefighter|"
    "fireman|fisherman|fishmonger|fitter|florist|foreman|freelancer|gamekeeper|gardener|geneticist|geographer|geologist|glazier|goldsmith|gp|greengrocer|grocer|groundsman|"
    "guard|guide|hairdresser|handyman|headteacher|headmistress|headmaster|historian|housekeeper|housewife|illustrator|inspector|instructor|intern|interpreter|"
    "investigator|ironmonger|janitor|jeweller|joiner|journalist|judge|labourer|lab technician|landlady|landlord|landscaper|lawyer|lecturer|librarian|lifeguard|lineman|locksmith|"
    "machinist|magistrate|manager|marketer|masseur|masseuse|mathematician|matron|mechanic|medic|meteorologist|microbiologist|midwife|miner|minister|model|"
    "musician|nanny|neurologist|novelist|nun|nurse|nutritionist|officer|operator|optician|optometrist|organist|osteopath|paediatrician|painter|paralegal|"
    "paramedic|pastor|pathologist|pharmacist|phd student|philosopher|photographer|physician|physicist|physio|physiotherapist|pianist|pilot|plasterer|playwright|plumber|"
    "podiatrist|poet|policeman|policewoman|politician|porter|postman|postwoman|potter|priest|principal|printer|producer|professor|programmer|psychiatrist|psychologist|"
    "publican|publisher|radiographer|radiologist|realtor|receptionist|recruiter|registrar|reporter|researcher|reverend|roofer|sailor|salesman|saleswoman|salesperson|scaffolder|"
    "scientist|sculptor|seamstress|secretary|server|shepherd|shopkeeper|singer|social worker|software engineer|soldier|solicitor|statistician|steward|stewardess|stonemason|"
    "student|supervisor|surgeon|surveyor|tailor|teacher|teaching assistant|technician|telephonist|therapist|tiler|tour guide|trader|trainer|trainee|translator|treasurer|tutor|typist|"
    "undertaker|undergrad|undergraduate|upholsterer|usher|verger|vet|vicar|violinist|violist|waiter|waitress|warden|watchmaker|weaver|welder|worker|writer|youth worker|zookeeper|zoologist|"
    "[a-z]{3,}ologist|[a-z]{3,}smith|[a-z]{4,}wright|[a-z]{3,}grapher|home ?maker|stay[- ]at[- ]home (?:mum|mom|dad|parent)|entrepreneur|pensioner|tradesman|tradeswoman|"
    "assistant|agent|technologist|planner|attendant|controller|crew|rep|representative|owner-driver|hgv driver|specialist|keeper|maker|seller|dealer|merchant|scholar|postdoc"
)
OCCUPATION = rf"(?:(?!(?:the|a|an|my|your|his|her|our|their|not|no|big|huge|such|bit|good|bad|terrible|only)\b)[a-z'/&-]+ ){{0,3}}(?:{_TRADES})s?(?![\w'-])"
"""A trade with what stands before it: "night nurse", "retired bus driver"."""
WORK_VERBS = (
    r"(?:teach|tutor|lecture in|nurse|coach|translate|interpret|edit|proofread|weld|keep the books|farm|fish commercially|"
    r"(?:build|design|make|sell|repair|fix|mend|restore|install|fit|lay|paint|clean|test|inspect|service|train|stamp|deliver|drive|pilot|fly|code|brew|bake|"
    r"audit|manage|run|supervise|research|write|groom|breed|shear|cut|style|book|file|pack|stack|load|serve|cook|look after|care for|sign for|do the (?:books|accounts) for))"
)
"""Verbs of trades, in the present tense. Of the inner ones, only "X for a living" and the like are work."""
BUSINESSES = (
    r"b&b|b and b|guest ?house|hotel|hostel|pub|bar|caf[eé]|coffee shop|restaurant|diner|takeaway|chippy|chip shop|food truck|bakery|shop|store|stall|boutique|salon|barber'?s|garage|"
    r"business|company|firm|agency|practice|clinic|surgery|pharmacy|studio|gallery|workshop|farm|smallholding|dairy|vineyard|brewery|nursery|kindergarten|creche|school|"
    r"department|ward|team|charity|library|museum|cinema|theatre|gym|kitchen|warehouse|call cent(?:re|er)|kennels?|cattery|stables|campsite|garden cent(?:re|er)|laundry|"
    r"dry cleaner'?s|launderette|laundrette|post office|newsagent'?s?|bookshop|florist'?s?|bike shop|start-?up|podcast|law firm|consultancy"
)
ORGANISATIONS = (
    rf"{BUSINESSES}|hospital|office|bank|trust|council|university|college|uni|academy|district|county|borough|ngo|nonprofit|non-profit|foundation|plant|factory|mill|mine|quarry|shipyard|docks?|site|port|airport|"
    r"station|depot|church|parish|mosque|temple|magazine|newspaper|paper|publisher|label|lab|laboratory|airline|railway|utility|insurer|supplier|union|zoo|aquarium|prison|court|hospice|care home|"
    r"home|nursing home|vet'?s?|rink|club|co-?op|supermarket|wholesaler|distillery|winery|abattoir|ministry|embassy|consulate|government|city|state|army|navy|air force|nhs|fire (?:service|station|hall)|"
    r"police|courthouse|orchestra|ballet|theatre company|production company|record shop|call center|centre|center|institute|dealership|builder'?s?|contractor|orchard|ranch|reserve|park|reservoir"
)
"""Where people work."""
WORK_NOUNS = (
    r"qa|it support|tech support|support|hr|payroll|accounts?|accounting|bookkeeping|customer (?:service|support|care)|marketing|admin|sales|the books|(?:the )?front desk|(?:the )?reception|logistics|dispatch|drywall|roofing|"
    r"plumbing|landscaping|carpentry|joinery|masonry|data entry|data|nails|hair|hair and makeup|makeup|research|security|night security|compliance|procurement|catering|childcare|housekeeping|maintenance|onboarding|"
    r"nights|night shifts|overnights|the overnight|the overnights|the night shift|social work|communications|comms|pr|fundraising|grants|graphic design|web design|ux|translations?|interpreting|policy|planning|facilities|stock control|deliveries"
)
"""What somebody who says "I do ..." has as a job."""
ALLERGENS = (
    r"(?:any |all )?(?:(?:tree |brazil |pine )?nuts?|peanut butter|peanuts?|almonds?|cashews?|walnuts?|hazelnuts?|pecans?|pistachios?|sesame|soya?|wheat|gluten|milk|cow's milk|dairy|lactose|eggs?|fish|shellfish|shrimps?|prawns?|crab|lobster|"
    r"mussels?|clams?|oysters?|squid|kiwis?|mango(?:e?s)?|strawberr(?:y|ies)|bananas?|avocados?|pineapples?|citrus|oranges?|lemons?|peach(?:es)?|apples?|celery|mustard|lupin|sulphites?|sulfites?|tomato(?:es)?|mushrooms?|aubergines?|"
    r"latex|nickel|penicillin|amoxicillin|sulfa(?: drugs)?|aspirin|ibuprofen|codeine|bee stings?|wasp stings?|bees?|wasps?|pollen|grass|dust(?: mites)?|mou?ld|cats?|dogs?|horses?|feathers|perfumes?|sunscreen|msg|chickpeas?|lentils|coconut|chocolate|honey|sunflower seeds?|poppy seeds?)"
)
REACTIONS = (
    r"allergic|allergy|allergies|intoleran\w+|epi-?pens?|anaphyla\w+|hives|a rash|swells?|swollen|puffs? up|blows? up|balloon\w*|ambulance|a&e|the er|to hospital|in hospital|poison|kills? me|do-not-give|no-go list|"
    r"throat clos\w+|itch\w*|wheez\w+|breaks? (?:me )?out|welts|antihistamines?"
)
VEHICLES = (
    r"(?:school |mini|night |number \w+ |double-decker )?bus(?:es)?|(?:school )?minibus|lorr(?:y|ies)|trucks?|hgvs?|taxis?|(?:black |mini)?cabs?|trams?|trains?|tubes?|ambulances?|"
    r"delivery vans?|the \d+(?: bus)?|forklifts?|cranes?|diggers?|coach(?:es)?|rigs?|for (?:uber|bolt|lyft|deliveroo|a living|amazon|dpd|ola)|okadas?|danfos?|a rickshaw|an auto"
)
LANGUAGES = (
    r"afrikaans|albanian|amharic|asl|auslan|creole|patois|arabic|armenian|basque|bengali|bsl|british sign language|bulgarian|burmese|cantonese|catalan|chinese|croatian|czech|danish|dutch|english|estonian|farsi|"
    r"finnish|flemish|french|gaelic|galician|georgian|german|greek|gujarati|hausa|hebrew|hindi|hungarian|icelandic|igbo|indonesian|irish|italian|japanese|kannada|korean|"
    r"kurdish|latvian|lithuanian|malay|malayalam|maltese|mandarin|marathi|nepali|norwegian|pashto|persian|pidgin|polish|portuguese|punjabi|romanian|russian|serbian|"
    r"sinhala|slovak|slovene|slovenian|somali|spanish|swahili|swedish|tagalog|tamil|telugu|thai|tigrinya|turkish|twi|ukrainian|urdu|vietnamese|welsh|xhosa|yiddish|yoruba|zulu|sign language"
)
DEMONYMS = (
    r"afghan|albanian|algerian|american|argentinian|armenian|australian|austrian|bangladeshi|belgian|bolivian|brazilian|bulgarian|cameroonian|canadian|chilean|chinese|colombian|"
    r"congolese|cornish|croatian|cuban|cypriot|czech|danish|dutch|egyptian|english|eritrean|estonian|ethiopian|filipin[oa]|finnish|french|georgian|german|ghanaian|greek|hungarian|"
    r"icelandic|indian|indonesian|iranian|iraqi|irish|israeli|italian|jamaican|japanese|jordanian|kenyan|korean|kurdish|latvian|lebanese|lithuanian|malaysian|maltese|mexican|"
    r"moroccan|nepali|nigerian|northern irish|norwegian|pakistani|palestinian|peruvian|polish|portuguese|romanian|russian|rwandan|scottish|senegalese|serbian|sicilian|singaporean|slovak|slovenian|"
    r"somali|south african|spanish|sri lankan|sudanese|swedish|swiss|syrian|taiwanese|tanzanian|thai|trinidadian|tunisian|turkish|ugandan|ukrainian|venezuelan|vietnamese|welsh|zambian|zimbabwean"
)
CREATURES = (
    r"dog|puppy|pup|cat|kitten|kitty|pet|horse|pony|mare|donkey|mule|rabbit|bunny|hamster|gerbil|guinea pig|rat|mouse|ferret|parrot|budgie|budgerigar|canary|cockatiel|bird|hen|chicken|"
    r"duck|goose|goat|sheep|cow|pig|turtle|tortoise|snake|python|gecko|lizard|iguana|bearded dragon|goldfish|fish|betta|koi|axolotl|hedgehog|"
    r"greyhound|whippet|lurcher|labrador|lab|golden retriever|retriever|spaniel|cocker spaniel|springer|collie|border collie|sheepdog|german shepherd|alsatian|poodle|labradoodle|cockapoo|"
    r"terrier|jack russell|westie|beagle|dachshund|sausage dog|corgi|pug|bulldog|french bulldog|frenchie|boxer|husky|dalmatian|chihuahua|rottweiler|mastiff|mongrel|mutt|rescue|staffie|"
    r"siamese|tabby|tomcat|tom|maine coon|persian cat|ginger cat|moggy|boat|narrowboat|yacht|dinghy|canoe|car|van|campervan|camper|motorhome|caravan|motorbike|bike|tractor|truck|"
    r"robot vacuum|roomba|sourdough starter|starter|company|band|school|street|firm|shop|caf[eé]"
)
RELATIVES = (
    "wife|husband|missus|hubby|partner|girlfriend|boyfriend|gf|bf|fianc[eé]e?|mother|father|mom|mum|mam|amma|appa|dad|daddy|mummy|papa|parents?|sister|brother|sis|bro|siblings?|son|sons|"
    "daughter|daughters|kids?|child|children|baby|toddler|twins|teenagers?|gran|granny|nan|nana|nani|grandad|granddad|grandma|grandpa|grandmother|grandfather|grandson|granddaughter|grandchildren|aunt|auntie|aunty|uncle|cousin|"
    "nephew|niece|friends?|mates?|pal|bestie|buddy|colleagues?|boss|oga|manager|coworkers?|co-workers?|workmate|neighbou?rs?|flatmates?|housemates?|room ?mates?|lodger|tenants?|landlord|landlady|clients?|customers?|pupils?|"
    "students?|patients?|teacher|doctor|dentist|mother-in-law|father-in-law|sister-in-law|brother-in-law|in-laws?|mil|fil|stepson|stepdaughter|stepmum|stepdad|guests?|visitors?|bride|groom|vicar|ex|coach|team|everyone|everybody"
)
_MONTH = r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
_ORDINAL = r"(?:first|second|third|fourth|fifth|sixth|seventh|eighth|ninth|tenth|eleventh|twelfth|thirteenth|fourteenth|fifteenth|sixteenth|seventeenth|eighteenth|nineteenth|twentieth|twenty-\w+|thirtieth|thirty-first)"
DATE = (
    rf"(?:(?:the )?{_ORDINAL} (?:of )?{_MONTH}\b|{_MONTH} (?:the )?{_ORDINAL}\b|(?:the )?\d{{1,2}}(?:st|nd|rd|th)?(?: of)? {_MONTH}\b(?:,? \d{{4}})?|{_MONTH} (?:the )?\d{{1,2}}(?:st|nd|rd|th)?\b(?:,? \d{{4}})?|\d{{1,2}}[/.]\d{{1,2}}[/.]\d{{2,4}}|"
    rf"\d{{4}}-\d\d-\d\d|(?:christmas|boxing|new year's|valentine'?s|st\.? patrick'?s|leap|halloween|midsummer)(?: (?:day|eve))?|halloween|(?:the )?(?:first|last|\w+th) of {_MONTH}\b)"
)
_NUMBER = r"(?:\d[\d.,]*(?: ?(?:k|grand|million|lakh|crore)\b)?|(?:a |one |two |three |four |five |six |eight |ten |twenty |thirty |forty |fifty |sixty |eighty )?(?:hundred|thousand|grand|lakhs?|tenner|fiver)|ten|fifteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety)"
_UNIT = r"(?:euros?|pounds?|dollars?|eur|usd|gbp|chf|inr|rs|rupees?|naira|francs?|kronor|kroner|zloty|yen|quid|bucks|rand|pln|k\b|per \w+|an? (?:head|night|month|week|day|year|person|pop|piece)|each|[€$£₹₦])"
MONEY = rf"(?:(?:about|around|roughly|like|some) )?(?:[$€£₹₦]|rs\.?|inr|eur|gbp|usd|n(?=\d))? ?{_NUMBER}(?: ?{_UNIT})*"
